"""How well a student finds what its teacher embedded, on a folder: mAP and P@1.

No torch for bundles: the photographs go through the SDK's Encoder, as they do on a device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from training.data.splits import all_photographs, paths_with_role, read_splits
from training.evaluation.aligning import aligned_queries, can_align
from training.evaluation.encoders import ShotEncoder
from training.evaluation.names import Pairing
from training.evaluation.ranking import Score, score
from training.evaluation.stored_rows import RowStore, see_with_both

Classes = NDArray[np.int64] | NDArray[np.str_]


@dataclass(frozen=True)
class Protocol:
    """Who asks whom.  A photograph's class is its top folder below the data set.

    paths: all photographs.  queries, gallery: int64 positions in them.  is_leave_one_out: every
    photograph is a query against all others.
    """

    folder: Path
    paths: tuple[Path, ...]
    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    is_leave_one_out: bool


@dataclass(frozen=True)
class Evaluation:
    """The score of each pairing.  skipped: photographs that could not be read.

    aligned: the same, with the queries mapped to this gallery by an alignment learned from its
    photographs without labels, as the service does it; empty for a gallery too small for one, or
    of photographs that are all alike.
    """

    scores: Mapping[Pairing, Score]
    aligned: Mapping[Pairing, Score]
    queries_without_match: int
    skipped: int

    @property
    def reference(self) -> Score:
        """Teacher → teacher, which all ratios are to."""
        return self.scores["teacher_to_teacher"]


def read_protocol(folder: Path, splits: Path | None) -> Protocol:
    """List the photographs of a data set and their roles.

    splits: a TSV `path<TAB>role` with the paths relative to the folder; None: leave-one-out.
    Raises `InvalidConfiguration` when something is missing or a photograph has no class folder.
    """
    if splits is None:
        paths = all_photographs(folder)
        everyone = np.arange(len(paths), dtype=np.int64)
        queries, gallery = everyone, everyone
    else:
        roles = read_splits(splits)
        asking = paths_with_role(folder, roles, "query")
        held = paths_with_role(folder, roles, "gallery")
        paths = [*asking, *held]
        queries = np.arange(len(asking), dtype=np.int64)
        gallery = np.arange(len(asking), len(paths), dtype=np.int64)
    for path in paths:
        if path.parent == folder:
            raise InvalidConfiguration(
                f"{path.name} lies in no class folder: expected {folder}/<class>/<photograph>"
            )
    return Protocol(folder, tuple(paths), queries, gallery, is_leave_one_out=splits is None)


def evaluate(
    teacher: ShotEncoder, student: ShotEncoder, protocol: Protocol, store: RowStore
) -> Evaluation:
    """Embed every photograph with both and score the three pairings, plain and aligned.

    Raises as `see_with_both` does, and `InvalidConfiguration` when no query has anything to find.
    """
    seen = see_with_both(teacher, student, protocol.paths, store)
    asked = asked_of(protocol, seen.is_read)
    pairings: dict[Pairing, tuple[Vectors, Vectors]] = {
        "teacher_to_teacher": (seen.teacher, seen.teacher),
        "student_to_student": (seen.student, seen.student),
        "student_to_teacher": (seen.student, seen.teacher),
    }
    has_alignment = can_align(
        seen.student[asked.held],
        seen.teacher[asked.held],
        is_leave_one_out=protocol.is_leave_one_out,
    )
    return Evaluation(
        scores={name: asked.score(*pair) for name, pair in pairings.items()},
        aligned={
            name: asked.score_aligned(*pair) for name, pair in pairings.items() if has_alignment
        },
        queries_without_match=int((~asked.matched).sum()),
        skipped=int((~seen.is_read).sum()),
    )


@dataclass(frozen=True)
class Asked:
    """A protocol's questions, of the photographs that can be read.

    asking `[Q]`, held `[G]`: rows of the protocol's paths.  same: bool `[Q, G]`, of one class.
    matched: bool `[Q]`, the queries that have something to find: the others are not scored.
    """

    asking: NDArray[np.int64]
    held: NDArray[np.int64]
    same: NDArray[np.bool_]
    matched: NDArray[np.bool_]
    is_leave_one_out: bool

    def score(self, asks: Vectors, holds: Vectors) -> Score:
        """asks, holds: rows of all of the protocol's paths, by either side."""
        return self._score(asks[self.asking], holds)

    def score_aligned(self, asks: Vectors, holds: Vectors) -> Score:
        """The same, with the queries mapped as `aligned_queries` does."""
        mapped = aligned_queries(
            asks,
            holds,
            asking=self.asking,
            held=self.held,
            is_leave_one_out=self.is_leave_one_out,
        )
        return self._score(mapped, holds)

    def _score(self, queries: Vectors, holds: Vectors) -> Score:
        own = np.flatnonzero(self.matched) if self.is_leave_one_out else None
        return score(queries[self.matched], holds[self.held], self.same[self.matched], own=own)


def asked_of(protocol: Protocol, is_read: NDArray[np.bool_]) -> Asked:
    """The questions that are left when some photographs cannot be read.

    is_read: `[P]`.  Raises `InvalidConfiguration` when no query has anything to find.
    """
    classes = np.array([p.relative_to(protocol.folder).parts[0] for p in protocol.paths])
    asking, held = (rows[is_read[rows]] for rows in (protocol.queries, protocol.gallery))
    alone = protocol.is_leave_one_out
    same = relevance(classes[asking], classes[held], is_leave_one_out=alone)
    return Asked(asking, held, same, np.asarray(same.any(axis=1)), alone)


def relevance(asking: Classes, held: Classes, *, is_leave_one_out: bool) -> NDArray[np.bool_]:
    """Bool `[Q, G]`: the same class, and in leave-one-out not the query itself.

    asking, held: the classes of the Q queries and of the G of the gallery.
    Raises `InvalidConfiguration` when there is nothing to find for any query.
    """
    same: NDArray[np.bool_] = asking[:, None] == held[None, :]
    if is_leave_one_out:
        np.fill_diagonal(same, val=False)
    if not same.any():
        raise InvalidConfiguration(
            "no query has a photograph of its class in the gallery: check the class folders, and "
            "give classes of two photographs or more"
        )
    return same
