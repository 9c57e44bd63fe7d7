"""Negatives for anchors, at most one of a class: the most similar ones, or any."""

from __future__ import annotations

from collections.abc import Iterable

import faiss
import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors

MISSING = -1


def hardest_negatives(
    anchors: Vectors,
    pool: Vectors,
    *,
    anchor_labels: NDArray[np.int64],
    pool_labels: NDArray[np.int64],
    count: int,
) -> NDArray[np.int64]:
    """The most similar rows of the pool, at most one of a class, none of the anchor's.

    anchors: `[Q, D]`.  pool: `[N, D]`.  Returns int64 `[Q, count]`, places in the pool, by
    decreasing cosine.  Radenović et al., TPAMI 2019, section 3.3.
    Raises `InvalidConfiguration` when the pool has too few other classes, or a row is not finite.
    """
    if not (np.isfinite(anchors).all() and np.isfinite(pool).all()):
        raise InvalidConfiguration(
            "a row to be mined is not finite: the network no longer computes numbers; lower the "
            "learning rates and begin anew"
        )
    index = faiss.IndexFlatIP(pool.shape[1])
    index.add(np.ascontiguousarray(pool))
    chosen = np.full((len(anchors), count), MISSING, dtype=np.int64)
    open_rows, depth = np.arange(len(anchors)), 8 * count
    while len(open_rows):
        depth = min(depth, len(pool))
        _, found = index.search(np.ascontiguousarray(anchors[open_rows]), depth)
        for row, ranking in zip(open_rows, found, strict=True):
            chosen[row] = _first_of_classes(ranking, pool_labels, anchor_labels[row], count)
        open_rows = open_rows[chosen[open_rows, -1] == MISSING]
        if depth == len(pool) and len(open_rows):
            raise InvalidConfiguration(
                f"a pool of {len(pool)} photographs holds too few classes for {count} negatives of "
                "different ones: enlarge `pool`, or lower `negatives`"
            )
        # A few anchors look like many photographs of few classes: only they are searched again.
        depth *= 8
    return chosen


def random_negatives(
    *,
    anchor_labels: NDArray[np.int64],
    labels: NDArray[np.int64],
    count: int,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Any photographs, at most one of a class, none of the anchor's: int64 `[Q, count]`.

    Each anchor takes what comes next in a shuffled list, from a place of its own.  labels: `[P]`,
    of at least count + 1 classes.
    """
    order = random.permutation(len(labels))
    chosen = np.empty((len(anchor_labels), count), dtype=np.int64)
    for row, start in enumerate(random.integers(len(labels), size=len(anchor_labels))):
        ranking = (order[(start + i) % len(order)] for i in range(len(order)))
        chosen[row] = _first_of_classes(ranking, labels, anchor_labels[row], count)
    assert (chosen != MISSING).all(), "fewer classes than the sampler has checked"
    return chosen


def _first_of_classes(
    ranking: Iterable[np.int64], labels: NDArray[np.int64], own: np.int64, count: int
) -> list[int]:
    """The first `count` of different classes, not the anchor's own; `MISSING` where none is."""
    seen, first = {int(own)}, []
    for place in ranking:
        label = int(labels[place])
        if label not in seen:
            seen.add(label)
            first.append(int(place))
            if len(first) == count:
                return first
    return first + [MISSING] * (count - len(first))
