"""The truth of a gallery, in SQLite: items, their vectors by space, and the order of writes.

Every write takes the next `seq` inside its transaction and is acknowledged by returning, after
the commit has reached the disk. An item's `seq` moves when its photograph, metadata or existence
changes; a vector's own `seq` when the vector is written. So a reader that knows everything up to
a `seq` asks only for what came after it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import weakref
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from lorgnette.errors import InvalidGallery
from lorgnette.manifest import Space
from service.gallery import checksums, schema
from service.gallery.checksums import check_vector
from service.gallery.records import Changes, Item, Known, NewItem, Stamp
from service.gallery.statements import (
    delete_items,
    next_seq,
    now,
    put_vector,
    register,
    seq_of,
    spaces_of,
    upsert_item,
)

__all__ = ["CATALOGUE_NAME", "Catalogue", "Changes", "Item", "Known", "NewItem", "Stamp", "now"]

CATALOGUE_NAME = "catalogue.sqlite"


def require_gallery(data: Path) -> None:
    """Raise `InvalidGallery` for a data directory without a catalogue; `open` would make one."""
    if not (data / CATALOGUE_NAME).is_file():
        raise InvalidGallery(
            f"there is no gallery in {data}: make one with `lorgnette index FOLDER`, or give --data"
        )


class _Held:
    """A thread's connection, closed when the thread ends.

    By itself it would stay open until the collector comes by: its cache of statements refers back
    to it. A server whose threads come and go seldom sees that happen.
    """

    def __init__(self, connection: schema.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Catalogue:
    """`catalogue.sqlite` of a data directory. Thread-safe: each thread has its own connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: weakref.WeakSet[schema.Connection] = weakref.WeakSet()

    @classmethod
    def open(cls, data: Path) -> Self:
        """Open the catalogue of a data directory, creating both when absent.

        Raises `InvalidGallery` when the directory or the file cannot be used.
        """
        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidGallery(
                f"cannot make the data directory {data} ({error.strerror}): choose another --data"
            ) from error
        catalogue = cls(data / CATALOGUE_NAME)
        with schema.translated(catalogue.path):
            schema.prepare(catalogue._connection(), path=catalogue.path)
        return catalogue

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in list(self._connections):
            connection.close()
        self._local = threading.local()

    def _connection(self) -> schema.Connection:
        held: _Held | None = getattr(self._local, "held", None)
        if held is None:
            held = self._local.held = _Held(schema.connect(self.path))
            self._connections.add(held.connection)
        return held.connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed and synced when the block is left, undone when it raises."""
        with schema.translated(self.path):
            connection = self._connection()
            with schema.transaction(connection):
                yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Reads that all see one moment."""
        with schema.translated(self.path):
            connection = self._connection()
            with schema.reading(connection):
                yield connection

    @contextlib.contextmanager
    def reading_once(self) -> Iterator[sqlite3.Connection]:
        """One statement: it sees one moment by itself, in a `reading` block that one's."""
        with schema.translated(self.path):
            yield self._connection()

    def check(self) -> None:
        """Read everything but the vectors' numbers. Raises `InvalidGallery` for damage."""
        with self.reading() as connection:
            checksums.check_all(connection, path=self.path)

    def check_knows(self, live: Collection[str]) -> None:
        """Raise `InvalidGallery` when an index is live of a space this catalogue never knew."""
        with self.reading() as connection:
            known = {space_id for (space_id,) in connection.execute("SELECT id FROM spaces")}
        for space_id in sorted(set(live) - known):
            raise InvalidGallery(
                f"{self.path} does not know space {space_id}, whose index is live: it was emptied, "
                "or exchanged for another; restore it from a copy, or run `lorgnette index`"
            )

    def copy_into(self, target: sqlite3.Connection) -> None:
        """Copy everything, as of one moment; others may write meanwhile."""
        with schema.translated(self.path):
            self._connection().backup(target)

    def replace_by(self, content: sqlite3.Connection) -> None:
        """Become a copy of another catalogue, in one transaction."""
        with schema.translated(self.path):
            content.backup(self._connection())

    def seq(self) -> int:
        """The last write's number; 0 for an untouched gallery."""
        with self.reading() as connection:
            return seq_of(connection)

    def epoch(self) -> int:
        """How often a snapshot was restored: what was read in another epoch is not true now."""
        with self.reading() as connection:
            (epoch,) = connection.execute("SELECT epoch FROM state").fetchone()
        return int(epoch)

    def spaces(self) -> tuple[Space, ...]:
        """Every space vectors were written in and that was not retired, by id."""
        with self.reading() as connection:
            return spaces_of(connection)

    def retired(self) -> frozenset[str]:
        """The ids of spaces that were let go."""
        with self.reading() as connection:
            rows = connection.execute("SELECT id FROM spaces WHERE retired_at IS NOT NULL")
            return frozenset(space_id for (space_id,) in rows.fetchall())

    def enter(self, space: Space) -> None:
        """Make a space one the gallery speaks: from now on new images are embedded in it too."""
        with self.writing() as connection:
            register(connection, space)

    def upsert(self, space: Space, items: Sequence[NewItem]) -> int:
        """Write items with their vectors of one space, all or nothing. Returns the write's seq.

        A photograph that changed loses its vectors of other spaces: they show what it was.
        """
        if not items:
            return self.seq()
        with self.writing() as connection:
            register(connection, space)
            seq = next_seq(connection)
            for item in items:
                key = upsert_item(connection, item, seq=seq)
                put_vector(connection, space, key=key, vector=item.vector, seq=seq)
        return seq

    def add_vectors(
        self, space: Space, vectors: Sequence[tuple[Known, NDArray[np.float32]]]
    ) -> int:
        """Write vectors of known items. Returns how many: one changed meanwhile is left out."""
        added = 0
        with self.writing() as connection:
            register(connection, space)
            seq = next_seq(connection)
            for known, vector in vectors:
                same = connection.execute(
                    "SELECT 1 FROM items WHERE key = ? AND NOT deleted AND source = ?"
                    " AND size = ? AND mtime_ns = ?",
                    (known.key, known.source, known.stamp.size, known.stamp.mtime_ns),
                ).fetchone()
                if same is not None:
                    put_vector(connection, space, key=known.key, vector=vector, seq=seq)
                    added += 1
        return added

    def delete(self, ids: Sequence[str]) -> int:
        """Delete items and their vectors of every space. Returns how many there were."""
        with self.writing() as connection:
            return delete_items(connection, ids, seq=next_seq(connection))

    def items(self, keys: Sequence[int]) -> dict[int, Item]:
        """The live items among the keys, in one query."""
        with self.reading_once() as connection:
            rows = connection.execute(
                "SELECT key, id, source, metadata FROM items WHERE NOT deleted"
                " AND key IN (SELECT value FROM json_each(?))",
                (json.dumps(list(keys)),),
            ).fetchall()
        return {
            key: Item(key, item_id, source, from_json(metadata))
            for key, item_id, source, metadata in rows
        }

    def known(self, space_id: str) -> tuple[Known, ...]:
        """Every live item in order of key, and whether it has a vector of the space."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT i.key, i.id, i.source, i.size, i.mtime_ns, v.key IS NOT NULL FROM items i"
                " LEFT JOIN vectors v ON v.space = ? AND v.key = i.key"
                " WHERE NOT i.deleted ORDER BY i.key",
                (space_id,),
            ).fetchall()
        return tuple(
            Known(
                key=key,
                id=item_id,
                source=source,
                stamp=Stamp(size=size, mtime_ns=mtime_ns),
                has_vector=bool(has_vector),
            )
            for key, item_id, source, size, mtime_ns, has_vector in rows
        )

    def changes(self, space: Space, *, since: int) -> Changes:
        """What a reader of a space that knows everything up to `since` has missed."""
        with self.reading() as connection:
            seq = seq_of(connection)
            changed = ("FROM vectors WHERE space = ? AND seq > ?", (space.id, since))
            (count,) = connection.execute(f"SELECT count(*) {changed[0]}", changed[1]).fetchone()
            keys, rows = np.empty(count, np.int64), np.empty((count, space.dim), np.float32)
            # By seq the index serves; by key a fresh build reads its table in order.
            order = "key" if since == 0 else "seq, key"
            found = connection.execute(
                f"SELECT key, blob, crc {changed[0]} ORDER BY {order}", changed[1]
            )
            for position, (key, blob, crc) in enumerate(found):
                check_vector(key, blob, crc, path=self.path)
                keys[position] = key
                rows[position] = _row(blob, space, path=self.path)
            gone = connection.execute(
                "SELECT i.key FROM items i LEFT JOIN vectors v ON v.space = ? AND v.key = i.key"
                " WHERE i.seq > ? AND v.key IS NULL",
                (space.id, since),
            ).fetchall()
        return Changes(seq=seq, keys=keys, rows=rows, gone=np.array(gone, np.int64).reshape(-1))

    def has_changes(self, space: Space, *, since: int) -> bool:
        """Whether `changes` would hold anything."""
        with self.reading() as connection:
            found = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM vectors WHERE space = ? AND seq > ?) OR EXISTS"
                " (SELECT 1 FROM items i LEFT JOIN vectors v ON v.space = ? AND v.key = i.key"
                " WHERE i.seq > ? AND v.key IS NULL)",
                (space.id, since, space.id, since),
            ).fetchone()
        return bool(found[0])


def _row(blob: bytes, space: Space, *, path: Path) -> NDArray[np.float32]:
    if len(blob) != 4 * space.dim:
        raise InvalidGallery(
            f"{path} holds a vector of {len(blob)} bytes in space {space.id}, expected "
            f"{4 * space.dim}: restore the catalogue from a copy, or index again elsewhere"
        )
    return np.frombuffer(blob, dtype="<f4")
