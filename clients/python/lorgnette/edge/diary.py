"""What an edge box must not forget: photographs done, vectors not yet asked about, lines written.

One SQLite file. It holds vectors, never a photograph. The lines are in a file of their own, whose
length is part of the transaction that ends a query: what a crash left behind that length was not
acknowledged, is cut off at the next start and written again, so each answer is there exactly once.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.edge.disk import disk

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS photos (sha256 TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS queue (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, photo TEXT NOT NULL, sha256 TEXT NOT NULL,
  space TEXT NOT NULL, student TEXT NOT NULL, vector BLOB NOT NULL, taken_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS lines (path TEXT PRIMARY KEY, bytes INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Sight:
    """A file as it was met: another size or time is looked at again."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Question:
    """A vector `[D]` float32 to ask about. taken_s: Unix time of its embedding."""

    seq: int
    photo: str
    sha256: str
    space: str
    student: str
    vector: NDArray[np.float32]
    taken_s: float


class Diary:
    """Of one process at a time. Raises `InvalidConfiguration` when another one holds it."""

    def __init__(self, path: Path, *, lines: Path) -> None:
        self._out = lines
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lines.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=0.1, isolation_level=None)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            with self._transaction():
                self._bytes = self._cut_unfinished()

    def close(self) -> None:
        """Let another process have it."""
        self._db.close()

    def has_met(self, sight: Sight) -> bool:
        """Whether this very file was met."""
        row = self._db.execute("SELECT size, mtime_ns FROM files WHERE path = ?", (sight.path,))
        return bool(row.fetchone() == (sight.size, sight.mtime_ns))

    def has_done(self, sha256: str) -> bool:
        """Whether a photograph of this content was taken, under whatever name."""
        row = self._db.execute("SELECT 1 FROM photos WHERE sha256 = ?", (sha256,))
        return row.fetchone() is not None

    def note(self, sight: Sight) -> None:
        """Remember a file that brings no question: a copy, or no photograph."""
        with self._writing():
            self._note(sight)

    def ask(self, question: Question, *, sight: Sight | None) -> None:
        """Queue a vector, and remember its photograph, in one step. Its seq is given here.

        sight: None for a camera's frame, which is remembered by nothing: no two are the same, and
        a frame a second would be gigabytes of digests a year.
        """
        vector = question.vector.astype("<f4").tobytes()
        q = question
        with self._writing():
            if sight is not None:
                self._note(sight)
                self._db.execute("INSERT OR IGNORE INTO photos VALUES (?)", (q.sha256,))
            self._db.execute(
                "INSERT INTO queue (photo, sha256, space, student, vector, taken_s)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (q.photo, q.sha256, q.space, q.student, vector, q.taken_s),
            )

    def oldest(self) -> Question | None:
        """The question that waits longest."""
        row = self._db.execute(
            "SELECT seq, photo, sha256, space, student, vector, taken_s FROM queue"
            " ORDER BY seq LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        seq, photo, sha256, space, student, vector, taken_s = row
        row_f4 = np.frombuffer(vector, "<f4")
        return Question(seq, photo, sha256, space, student, row_f4, taken_s)

    def answer(self, question: Question, line: str) -> None:
        """Append the line and take the question off the queue: both, or at the next try."""
        content = line.encode() + b"\n"
        with disk(self._out):
            self._out.touch()
            # Somebody may have emptied it, or moved it away, since the last line.
            kept = min(self._bytes, self._out.stat().st_size)
            with self._out.open("r+b") as file:
                file.seek(kept)
                file.truncate()
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with self._transaction():
                self._db.execute("DELETE FROM queue WHERE seq = ?", (question.seq,))
                self._set_bytes(kept + len(content))
        self._bytes = kept + len(content)

    def drop_spaces_but(self, space: str) -> int:
        """Forget questions in another space, which nothing can answer; their number."""
        with self._writing():
            return self._db.execute("DELETE FROM queue WHERE space != ?", (space,)).rowcount

    def drop_space(self, space: str) -> int:
        """Forget questions of a space the server no longer speaks; their number."""
        with self._writing():
            return self._db.execute("DELETE FROM queue WHERE space = ?", (space,)).rowcount

    def drop_older(self, taken_s: float) -> int:
        """Forget questions embedded before; their number."""
        with self._writing():
            return self._db.execute("DELETE FROM queue WHERE taken_s < ?", (taken_s,)).rowcount

    def drop_above(self, most: int) -> int:
        """Forget the oldest questions beyond so many; their number."""
        with self._writing():
            return self._db.execute(
                "DELETE FROM queue WHERE seq NOT IN"
                " (SELECT seq FROM queue ORDER BY seq DESC LIMIT ?)",
                (most,),
            ).rowcount

    def waiting(self) -> int:
        """Questions on the queue."""
        return int(self._db.execute("SELECT count(*) FROM queue").fetchone()[0])

    def _note(self, sight: Sight) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?)",
            (sight.path, sight.size, sight.mtime_ns),
        )

    def _cut_unfinished(self) -> int:
        """Cut what was written without being acknowledged; the file's bytes."""
        self._out.touch()
        path, size = str(self._out.resolve()), self._out.stat().st_size
        row = self._db.execute("SELECT bytes FROM lines WHERE path = ?", (path,)).fetchone()
        # A file that is shorter was emptied by somebody: what they did stands.
        known = size if row is None else min(size, int(row[0]))
        os.truncate(self._out, known)
        self._set_bytes(known)
        return known

    def _set_bytes(self, count: int) -> None:
        path = str(self._out.resolve())
        self._db.execute("INSERT OR REPLACE INTO lines VALUES (?, ?)", (path, count))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with disk(self._out), self._transaction():
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
