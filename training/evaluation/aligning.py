"""Queries mapped to a gallery as the service maps them: learned from the gallery's photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lorgnette.alignment import MIN_PHOTOGRAPHS, is_alike, learn_alignment
from lorgnette.vectors import Vectors

_FOLDS = 5


def can_align(student: Vectors, teacher: Vectors, *, is_leave_one_out: bool) -> bool:
    """Whether the gallery, rows `[N, D]` by both, has photographs enough, and not all alike."""
    count = len(student)
    smallest = count - -(-count // _FOLDS) if is_leave_one_out else count
    return smallest >= MIN_PHOTOGRAPHS and not (is_alike(student) or is_alike(teacher))


def aligned_queries(
    asks: Vectors,
    holds: Vectors,
    *,
    asking: NDArray[np.int64],
    held: NDArray[np.int64],
    is_leave_one_out: bool,
) -> Vectors:
    """The rows of `asking`, mapped by an alignment learned from the rows of `held`.

    asks, holds: unit rows `[N, D]` of the same photographs, by who asks and by who embedded the
    gallery.  In leave-one-out a query is in the gallery: its map is learned without it, in five
    folds of photographs.  Raises `InvalidConfiguration` when there are too few.
    """
    if not is_leave_one_out:
        return learn_alignment(asks[held], holds[held])(asks[asking])
    mapped = np.empty_like(asks[asking])
    fold = np.random.default_rng(0).permutation(len(asking)) % _FOLDS
    for out in (fold == n for n in range(_FOLDS)):
        learned = learn_alignment(asks[asking[~out]], holds[asking[~out]])
        mapped[out] = learned(asks[asking[out]])
    return mapped
