"""Model selection: how well a model in training finds photographs it never saw."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from training.averaging import State
from training.config import HeldFolder, TrainConfig, Validation
from training.data.public_source import listing_of
from training.data.public_spec import PublicSource
from training.embed import embed_whole, rows_by
from training.evaluation.folder import read_protocol
from training.evaluation.ranking import score
from training.models.embedder import Embedder
from training.teacher_encoder import TeacherEncoder


@dataclass(frozen=True)
class Judge:
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


def open_judge(
    validation: Validation,
    student: Embedder,
    teacher: TeacherEncoder | None,
    config: TrainConfig,
    *,
    root: Path,
) -> Judge:
    """List the held-out photographs and, if asymmetric, embed the gallery with the teacher.

    Raises `InvalidConfiguration` when the folder, its classes or its splits are not as expected.
    """
    asked = _held_out(validation.data, root)
    same = _relevant(asked)
    matched: NDArray[np.bool_] = np.asarray(same.any(axis=1))
    holding = tuple(asked.paths[row] for row in asked.gallery)
    batch_size = config.running.batch_size
    held = None
    if validation.pairing == "asymmetric":
        assert teacher is not None, "a query model has one"
        held = embed_whole(holding, teacher.embed, size_px=teacher.size_px, batch_size=batch_size)
    return Judge(
        asking=tuple(asked.paths[row] for row in asked.queries[matched]),
        holding=holding,
        relevant=same[matched],
        own=np.flatnonzero(matched) if asked.is_leave_one_out else None,
        held=held,
        spare=copy.deepcopy(student).eval(),
        batch_size=batch_size,
    )


@dataclass(frozen=True)
class _Asked:
    """Who asks whom: rows of `paths`, which show the classes `labels`."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int64] | NDArray[np.str_]
    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    is_leave_one_out: bool


def _held_out(data: HeldFolder | PublicSource, root: Path) -> _Asked:
    if isinstance(data, PublicSource):
        listing = listing_of(data, root)
        everyone = np.arange(len(listing.paths), dtype=np.int64)
        return _Asked(listing.paths, listing.labels, everyone, everyone, is_leave_one_out=True)
    folder = root / data.folder
    found = read_protocol(folder, None if data.splits is None else folder / data.splits)
    classes = np.array([path.relative_to(folder).parts[0] for path in found.paths])
    return _Asked(found.paths, classes, found.queries, found.gallery, found.is_leave_one_out)


def _relevant(asked: _Asked) -> NDArray[np.bool_]:
    labels = asked.labels
    same: NDArray[np.bool_] = labels[asked.queries][:, None] == labels[asked.gallery][None, :]
    if asked.is_leave_one_out:
        np.fill_diagonal(same, val=False)
    if not same.any():
        raise InvalidConfiguration(
            "validation: no query has a photograph of its class in the gallery: give classes of "
            "two photographs or more"
        )
    return same
