"""Product quantisation of the teacher's rows: the anchors of structure-similarity preservation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from training.data.row_cache import RowCache
from training.objective_spec import CodebooksSpec

ROWS_PER_CENTROID = 256
"""More rows than this change the centroids little (the limit FAISS sets for the same purpose)."""


def learn_codebooks(cache: RowCache, spec: CodebooksSpec, *, seed: int) -> Tensor:
    """K-means in each of M subspaces of the teacher's rows: centroids float32 `[M, K, D / M]`.

    cache: all written.  Learned on at most `ROWS_PER_CENTROID` · K rows, drawn by the seed.
    Jégou et al., TPAMI 2011; as anchors: Wu et al. (SSP), TMM 2024.  Raises
    `InvalidConfiguration` when M does not divide D, or the rows are fewer than the centroids.
    """
    count, dim = cache.binding.count, cache.binding.dim
    if dim % spec.subspaces:
        raise InvalidConfiguration(
            f"codebooks: {spec.subspaces} subspaces do not divide {dim} dimensions"
        )
    if count < spec.centroids:
        raise InvalidConfiguration(
            f"codebooks: {spec.centroids} centroids of {count} rows: lower `centroids`, or give "
            "more photographs"
        )
    learned_on = min(count, ROWS_PER_CENTROID * spec.centroids)
    chosen = np.random.default_rng(seed).choice(count, size=learned_on, replace=False)
    rows = cache.rows(np.sort(chosen).astype(np.int64))
    parts = np.split(rows, spec.subspaces, axis=1)
    centroids = [_centroids(part, spec.centroids, seed=seed) for part in parts]
    return torch.from_numpy(np.stack(centroids))


def _centroids(rows: NDArray[np.float32], count: int, *, seed: int) -> NDArray[np.float32]:
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=1, random_state=seed).fit(rows).cluster_centers_
    return np.asarray(found, dtype=np.float32)
