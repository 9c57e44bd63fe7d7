"""Which views make the next batch.  Everything drawn is a function of (seed, epoch).

A sampler says the choices of a whole epoch at once.  Several processes choose the same batches and
each renders its share of them (`training.distributed`), so together they see what one would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from training.data.choice import Choice
from training.data.image_samplers import Balanced, GroupSize, RandomImages, ShuffledViews
from training.data.loader import Views
from training.data.row_cache import RowCache
from training.data.shapes import shapes_of
from training.data.specs import (
    BalancedSampling,
    GroupSizeSampling,
    MinedTuplesSampling,
    RandomSampling,
    RandomTuplesSampling,
    Sampling,
    ViewsSampling,
)
from training.data.tuple_samplers import MinedTuples, Pool, RandomTuples


class Sampler(Protocol):
    """Step s is number s % len(sampler) of epoch s // len(sampler).

    At the beginning of an epoch call `mine` once, and keep what it returns until the epoch ends
    (a checkpoint stores it): it depends on the weights of that moment, which nobody has later.  Of
    several processes the first one's is given to all.  `choices` then is a pure function of its
    arguments.
    """

    def __len__(self) -> int: ...

    def mine(self, epoch: int) -> NDArray[np.int64] | None:
        """What of the epoch depends on the student: int64 `[Q, 2 + n]`, or None."""
        ...

    def choices(self, epoch: int, mined: NDArray[np.int64] | None) -> Sequence[Choice]:
        """The epoch's batches, `len(self)` of them."""
        ...


Embed = Callable[[NDArray[np.int64]], Vectors]
"""Unit rows `[N, D]` of whole photographs `[N]`, embedded by the student as it is now."""


def build_sampler(
    spec: Sampling, views: Views, *, seed: int, student: Embed, teacher: RowCache | None
) -> Sampler:
    """The sampler a configuration asks for.

    student: used where negatives are mined.  teacher: its cached rows of the views, or None.
    Raises `InvalidConfiguration` when the photographs cannot be sampled so, with the way out.
    """
    rounds, listing = views.crops.per_photograph, views.photographs.listing
    _require_one_class_a_view(spec, views)
    match spec:
        case ViewsSampling():
            return ShuffledViews(len(views), spec, seed=seed)
        case RandomSampling():
            return RandomImages(listing, spec, seed=seed, rounds=rounds)
        case BalancedSampling():
            return Balanced(listing, spec, seed=seed, rounds=rounds)
        case GroupSizeSampling():
            shapes = shapes_of(listing.paths, spec.aspects)
            return GroupSize(shapes, spec, seed=seed, rounds=rounds)
        case RandomTuplesSampling():
            shapes = shapes_of(listing.paths, spec.aspects)
            return RandomTuples(listing, shapes, spec, seed=seed, rounds=rounds)
        case MinedTuplesSampling():
            shapes = shapes_of(listing.paths, spec.aspects)
            pool = Pool(student, _embedder_of_pool(spec, student, teacher))
            return MinedTuples(listing, shapes, spec, pool, seed=seed, rounds=rounds)


def _embedder_of_pool(spec: MinedTuplesSampling, student: Embed, teacher: RowCache | None) -> Embed:
    if spec.mined_in == "student":
        return student
    if teacher is None:
        raise InvalidConfiguration(
            "sampling.mined_in is `teacher`, and there is no teacher: give --teacher, or mine in "
            "the student's own space"
        )
    # The first round's row of photograph i is row i.
    return teacher.rows


def _require_one_class_a_view(spec: Sampling, views: Views) -> None:
    if views.crops.joined_share > 0 and not isinstance(spec, ViewsSampling | GroupSizeSampling):
        raise InvalidConfiguration(
            f"sampling {spec.name} goes by classes, and crops.joined_share is "
            f"{views.crops.joined_share}: a view of two photographs has two classes; set it to 0"
        )
