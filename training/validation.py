"""Model selection: how well a model in training finds photographs it never saw."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.vectors import Vectors
from training.averaging import State
from training.config import HeldFolder
from training.data.public_source import listing_of
from training.data.public_spec import PublicSource
from training.embed import embed_whole, rows_by
from training.evaluation.folder import read_protocol, relevance
from training.evaluation.ranking import score
from training.models.embedder import Embedder
from training.teacher_encoder import TeacherEncoder


@dataclass(frozen=True)
class HeldOutJudge:
    """Asks held-out photographs of a gallery.

    held: the gallery's rows by the teacher (asymmetric), or None: the model's own (symmetric).
    relevant: `[Q, G]`, at least one in each row.  own: each query's own row, for leave-one-out.
    spare: a network to put the weights into, so that the one in training is left alone.
    """

    asking: tuple[Path, ...]
    holding: tuple[Path, ...]
    relevant: NDArray[np.bool_]
    own: NDArray[np.int64] | None
    held: Vectors | None
    spare: Embedder
    batch_size: int

    def __call__(self, weights: State) -> float:
        """The mean average precision of a network with these weights, in [0, 1]."""
        self.spare.load_state_dict(weights)
        asks = self._rows(self.asking)
        holds = self._rows(self.holding) if self.held is None else self.held
        return score(asks, holds, self.relevant, own=self.own).mean_ap

    def _rows(self, paths: Sequence[Path]) -> Vectors:
        size_px = self.spare.network.input.size_px
        return embed_whole(paths, rows_by(self.spare), size_px=size_px, batch_size=self.batch_size)


@dataclass(frozen=True)
class HeldOut:
    """Who asks whom.  queries `[Q]`, gallery `[G]`: int64, rows of `paths`.

    relevant: bool `[Q, G]`, somewhere True: the same class, and not the query itself.
    """

    paths: tuple[Path, ...]
    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    relevant: NDArray[np.bool_]
    is_leave_one_out: bool


def held_out(data: HeldFolder | PublicSource, root: Path) -> HeldOut:
    """List the held-out photographs.

    Raises `InvalidConfiguration` or `InvalidDataset` when the folder, its classes or its splits
    are not as expected, or no query has anything to find.
    """
    if isinstance(data, PublicSource):
        listing = listing_of(data, root)
        everyone = np.arange(len(listing.paths), dtype=np.int64)
        same = relevance(listing.labels, listing.labels, is_leave_one_out=True)
        return HeldOut(listing.paths, everyone, everyone, same, is_leave_one_out=True)
    folder = root / data.folder
    found = read_protocol(folder, None if data.splits is None else folder / data.splits)
    classes = np.array([path.relative_to(folder).parts[0] for path in found.paths])
    same = relevance(
        classes[found.queries], classes[found.gallery], is_leave_one_out=found.is_leave_one_out
    )
    return HeldOut(found.paths, found.queries, found.gallery, same, found.is_leave_one_out)


def open_judge(
    held_out: HeldOut,
    student: Embedder,
    teacher: TeacherEncoder | None,
    *,
    batch_size: int,
) -> HeldOutJudge:
    """Judge by held-out photographs, whose gallery the teacher embeds once, if there is one.

    teacher: for the asymmetric pairing; None: symmetric.  batch_size: photographs embedded at once.
    """
    matched: NDArray[np.bool_] = np.asarray(held_out.relevant.any(axis=1))
    holding = tuple(held_out.paths[row] for row in held_out.gallery)
    held = None
    if teacher is not None:
        held = embed_whole(holding, teacher.embed, size_px=teacher.size_px, batch_size=batch_size)
    return HeldOutJudge(
        asking=tuple(held_out.paths[row] for row in held_out.queries[matched]),
        holding=holding,
        relevant=held_out.relevant[matched],
        own=np.flatnonzero(matched) if held_out.is_leave_one_out else None,
        held=held,
        spare=copy.deepcopy(student).eval(),
        batch_size=batch_size,
    )
