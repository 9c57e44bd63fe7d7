"""What the catalogue keeps of alignments: one for each live space and student."""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading

import numpy as np
from numpy.typing import NDArray

from lorgnette.alignment import Alignment
from lorgnette.errors import InvalidGallery
from lorgnette.manifest import Space
from lorgnette.wire import AlignmentInfo
from service.gallery.catalogue import Catalogue
from service.gallery.statements import now, spaces_of

log = logging.getLogger(__name__)


def put_alignment(catalogue: Catalogue, space: Space, *, student: str, learned: Alignment) -> None:
    """Keep an alignment in place of an older one of the same student. Searches use it at once.

    Raises `InvalidGallery` for a space that was retired meanwhile.
    """
    with catalogue.writing() as connection:
        if space not in spaces_of(connection):
            raise InvalidGallery(
                f"space {space.id} was retired while {student} was aligned: nothing is kept of it"
            )
        connection.execute(
            "INSERT OR REPLACE INTO alignments (rowid, space, student, photographs, strength,"
            " cosine_before, cosine_after, origin, matrix, target, learned_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                # By which `Alignments` knows it again: SQLite's next number would be used twice
                # after a restore, and two may be learned within one millisecond.
                secrets.randbits(62),
                space.id,
                student,
                learned.photographs,
                learned.strength,
                learned.before,
                learned.after,
                learned.origin.astype("<f4").tobytes(),
                learned.matrix.astype("<f4").tobytes(),
                learned.target.astype("<f4").tobytes(),
                now(),
            ),
        )


def listed(catalogue: Catalogue, space_id: str) -> list[AlignmentInfo]:
    """The alignments of a space, by student."""
    with catalogue.reading() as connection:
        rows = connection.execute(
            "SELECT student, photographs, cosine_before, cosine_after, learned_at FROM alignments"
            " WHERE space = ? ORDER BY student",
            (space_id,),
        ).fetchall()
    return [
        AlignmentInfo(
            student=student, photographs=photographs, before=before, after=after, learned_at=moment
        )
        for student, photographs, before, after, moment in rows
    ]


class Alignments:
    """The alignments a process has used, read again when they were learned again. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], tuple[int, Alignment | None]] = {}

    def of(self, connection: sqlite3.Connection, space: Space, student: str) -> Alignment | None:
        """The alignment of a student, as of now; None when there is none. Needs no transaction.

        A damaged one is none either: the log says so, and searches go on without it.
        """
        name = (space.id, student)
        found = connection.execute(
            "SELECT rowid FROM alignments WHERE space = ? AND student = ?", name
        ).fetchone()
        if found is None:
            return None
        with self._lock:
            held = self._held.get(name)
        if held is None or held[0] != found[0]:
            held = _read(connection, space, student)
            if held is None:
                return None
            with self._lock:
                self._held[name] = held
        return held[1]


def _read(
    connection: sqlite3.Connection, space: Space, student: str
) -> tuple[int, Alignment | None] | None:
    """Its row's number and the alignment, None for a damaged one; None when there is no row."""
    row = connection.execute(
        "SELECT rowid, photographs, strength, cosine_before, cosine_after, origin, matrix, target"
        " FROM alignments WHERE space = ? AND student = ?",
        (space.id, student),
    ).fetchone()
    if row is None:
        return None
    number, photographs, strength, before, after, origin, matrix, target = row
    try:
        return number, Alignment(
            origin=_numbers(origin, (space.dim,), student=student),
            matrix=_numbers(matrix, (space.dim, space.dim), student=student),
            target=_numbers(target, (space.dim,), student=student),
            photographs=photographs,
            strength=strength,
            before=before,
            after=after,
        )
    except InvalidGallery as error:
        log.error("an alignment is not used", extra={"why": str(error)})
        return number, None


def _numbers(blob: bytes, shape: tuple[int, ...], *, student: str) -> NDArray[np.float32]:
    whole = len(blob) == 4 * int(np.prod(shape))
    numbers = np.frombuffer(blob, dtype="<f4") if whole else np.array([np.nan])
    if not np.isfinite(numbers).all():
        raise InvalidGallery(
            f"the alignment of {student} is damaged: learn it again with `lorgnette align`"
        )
    return numbers.reshape(shape).astype(np.float32)
