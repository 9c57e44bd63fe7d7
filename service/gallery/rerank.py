"""Re-ranking on global descriptors: a second opinion from the gallery's own vectors.

Each looks only at the query and at the pool, the `[M, D]` best of a plain search, best first, and
gives every row of the pool a new score. What is added to a query comes from the gallery, so a
student's query is drawn into its teacher's space. No training, nothing stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from lorgnette.vectors import Vectors
from lorgnette.wire import Rerank
from service.gallery.exact import Scores

POOL = 400
"""M: how many of a plain search's best are ranked again (SuperGlobal's value)."""

EXPANDED_BY, ALPHA = 10, 3.0
NEIGHBOURS, BETA, MAXED = 9, 0.15, 10

Row = NDArray[np.float32]


def query_expansion(query: Row, pool: Vectors) -> Scores:
    """α-QE: the cosine with `q' = q + Σ (q·x_i)^α x_i` over the 10 nearest, α = 3.

    query: unit `[D]`. pool: unit rows `[M, D]`. Returns `[M]` in [-1, 1].
    A negative similarity counts as 0.   Radenović, Tolias, Chum, TPAMI 2019.
    """
    nearest = pool[:EXPANDED_BY]
    weights = np.maximum(nearest @ query, 0.0) ** ALPHA
    expanded = query + weights @ nearest
    # At most 10 unit rows with weights >= 0, none of them behind the query: never of length 0.
    scores: Scores = pool @ (expanded / np.linalg.norm(expanded))
    return scores


def super_global(query: Row, pool: Vectors) -> Scores:
    """SuperGlobal's re-ranking: both sides refined by their neighbours, two similarities averaged.

    query: unit `[D]`. pool: unit rows `[M, D]`. Returns `[M]`; the rows it compares with are no
    longer of unit length, so that a score is no cosine. Each row becomes the average of itself
    (weight 1) and its 9 nearest in the pool (weight β·s, a negative s as 0); the query becomes
    the element-wise maximum of the 10 refined rows it is nearest to.
    Shao et al., ICCV 2023, and its published code.
    """
    s = np.maximum(pool @ pool.T, 0.0)
    np.fill_diagonal(s, -1.0)
    neighbours = min(NEIGHBOURS, len(pool) - 1)
    chosen = np.argpartition(-s, neighbours - 1, axis=1)[:, :neighbours]
    weights = np.zeros_like(s)
    np.put_along_axis(weights, chosen, BETA * np.take_along_axis(s, chosen, axis=1), axis=1)
    np.fill_diagonal(weights, 1.0)
    refined = (weights @ pool) / weights.sum(axis=1, keepdims=True)
    first = refined @ query
    nearest = np.argsort(-first, kind="stable")[:MAXED]
    scores: Scores = (first + refined @ refined[nearest].max(axis=0)) / 2
    return scores


Reranking = Callable[[Row, Vectors], Scores]
"""`(query [D], pool [M, D])` to the new scores `[M]`."""

RERANKINGS: Mapping[Rerank, Reranking] = {
    "alpha-qe": query_expansion,
    "super-global": super_global,
}
