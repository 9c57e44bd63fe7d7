"""A data set as a teacher and its student see it: what the analyses and the pictures are of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from training.evaluation.encoders import ShotEncoder, open_encoder
from training.evaluation.folder import Protocol, read_protocol
from training.evaluation.stored_rows import RowStore, see_with_both


@dataclass(frozen=True)
class Subject:
    """N photographs, the queries and the gallery among them.

    made_by: the teacher's and the student's name, and how images reach them.
    paths: `[N]`.  names: the K classes, sorted.  labels: int64 `[N]`, positions in `names`.
    teacher, student: unit rows `[N, D]` of one space.  queries, gallery: int64, positions in N.
    is_leave_one_out: the queries are the gallery, and none finds itself.
    """

    made_by: tuple[str, str]
    folder: Path
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    teacher: Vectors
    student: Vectors
    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    is_leave_one_out: bool

    def relevant(self, some: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool `[Q, G]`: what of the gallery has the class of these queries, not counting itself.

        some: positions in `queries`.
        """
        asking = self.queries[some]
        same = self.labels[asking][:, None] == self.labels[self.gallery]
        relevant: NDArray[np.bool_] = same & (asking[:, None] != self.gallery)
        return relevant

    def own(self, some: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """For leave-one-out, the gallery's row that is each of these queries itself."""
        return some if self.is_leave_one_out else None


def open_subject(
    gallery: Path, query: Path, dataset: Path, *, splits: Path | None, rows: Path, workers: int
) -> Subject:
    """See a data set with a teacher and a student, each a bundle or a run's directory.

    splits: as given, else looked for inside the data set; None: leave-one-out.  rows: where the
    rows are kept.  workers: photographs embedded at once.  Raises as `see` does, and what opening
    and reading raise.
    """
    if splits is not None and not splits.is_file():
        splits = dataset / splits
    protocol = read_protocol(dataset, splits)
    teacher, student = (open_encoder(path, resolution=None) for path in (gallery, query))
    return see(teacher, student, protocol, RowStore(rows, workers))


def see(teacher: ShotEncoder, student: ShotEncoder, protocol: Protocol, store: RowStore) -> Subject:
    """Embed every photograph with both; those that cannot be read are left out.

    store: where the rows are kept: the same call again embeds nothing.  Raises as `see_with_both`
    does, and `InvalidConfiguration` when no query or no gallery is left.
    """
    seen = see_with_both(teacher, student, protocol.paths, store)
    teachers, students = (
        f"{origin.name} ({origin.preparation})" for origin in (teacher.origin, student.origin)
    )
    return subject_of(
        protocol,
        teacher=seen.teacher,
        student=seen.student,
        is_read=seen.is_read,
        made_by=(teachers, students),
    )


def subject_of(
    protocol: Protocol,
    *,
    teacher: Vectors,
    student: Vectors,
    is_read: NDArray[np.bool_],
    made_by: tuple[str, str],
) -> Subject:
    """Keep of the protocol's N photographs those that could be read, and number them anew.

    teacher, student: `[N, D]`.  is_read: bool `[N]`.  made_by: see `Subject`.
    Raises as `see` does.
    """
    kept = np.flatnonzero(is_read)
    numbers = np.cumsum(is_read) - 1
    queries, gallery = (
        numbers[rows[is_read[rows]]] for rows in (protocol.queries, protocol.gallery)
    )
    if not len(queries) or not len(gallery):
        raise InvalidConfiguration(
            f"{len(queries)} queries and {len(gallery)} photographs in the gallery of "
            f"{protocol.folder.name} could be read: at least one of each is needed"
        )
    paths = tuple(protocol.paths[number] for number in kept)
    classes = [path.relative_to(protocol.folder).parts[0] for path in paths]
    names, labels = np.unique(np.array(classes), return_inverse=True)
    return Subject(
        made_by=made_by,
        folder=protocol.folder,
        paths=paths,
        names=tuple(str(name) for name in names),
        labels=labels.astype(np.int64),
        teacher=teacher[kept],
        student=student[kept],
        queries=queries.astype(np.int64),
        gallery=gallery.astype(np.int64),
        is_leave_one_out=protocol.is_leave_one_out,
    )
