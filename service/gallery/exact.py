"""Exact search, and the one way a final score is computed.

FAISS and BLAS round a dot product differently from one batch size, or one position in the array,
to the next. So whoever found a candidate, its score is computed again here, in float64 and in one
order of summation, and rounded to float32: equal vectors get equal scores wherever they are kept,
and equal scores are ordered by key.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lorgnette.vectors import Vectors
from service.gallery.records import Keys

MARGIN = 1e-5
"""More than float32 rounding can move a cosine: only beyond it is a candidate surely worse."""

BLOCK_ROWS = 16_384
_BLOCK_QUERIES = 64

Scores = NDArray[np.float32]
"""`[N]` or `[N, k]` float32 cosines in [-1, 1]."""


def exact_scores(query: NDArray[np.float32], candidates: Vectors) -> Scores:
    """Cosine of one unit row `[D]` with each of `[M, D]`: `[M]` float32 in [-1, 1]."""
    products = np.einsum("md,d->m", candidates.astype(np.float64), query.astype(np.float64))
    scores: Scores = np.minimum(np.maximum(products, -1.0), 1.0).astype(np.float32)
    return scores


def ranked(scores: Scores, keys: Keys, *, k: int) -> tuple[Scores, Keys]:
    """The k best of `[M]` candidates, best first; equal scores in order of key."""
    order = np.lexsort((keys, -scores))[:k]
    return scores[order], keys[order]


def candidates_of(
    rows: Vectors, matrix: Vectors, is_dead: NDArray[np.bool_], *, k: int
) -> list[NDArray[np.int64]]:
    """For each of `[N, D]` rows the positions in `[M, D]` that may be among its k best.

    is_dead: `[M]`, positions that must not be found. Everything within `MARGIN` of the k-th is
    kept, so that the exact scores decide.
    """
    found: list[NDArray[np.int64]] = []
    alive = int(len(matrix) - is_dead.sum())
    for start in range(0, len(rows), _BLOCK_QUERIES):
        s = rows[start : start + _BLOCK_QUERIES] @ matrix.T
        s[:, is_dead] = -np.inf
        if k < alive:
            kth = np.partition(s, s.shape[1] - k, axis=1)[:, s.shape[1] - k]
        else:
            kth = np.full(len(s), -2.0, np.float32)
        found += [np.flatnonzero(row >= floor - MARGIN) for row, floor in zip(s, kth, strict=True)]
    return found


def kth_best(rows: Vectors, matrix: Vectors, *, k: int) -> Scores:
    """For each of `[N, D]` rows the cosine of its k-th nearest of `[M, D]`, `k <= M`: `[N]`."""
    best = np.full((len(rows), k), -np.inf, np.float32)
    for start in range(0, len(matrix), BLOCK_ROWS):
        s = np.concatenate([best, rows @ matrix[start : start + BLOCK_ROWS].T], axis=1)
        best = -np.partition(-s, k - 1, axis=1)[:, :k]
    kth: Scores = best.min(axis=1)
    return kth
