"""Rows of the gallery that are held back from training an index and then asked of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.vectors import Vectors
from service.gallery.exact import MARGIN, kth_best
from service.gallery.selfcheck import RANKS

_SIZE, _AT_ONCE = 500, 200
"""How many, and how many of them are compared at once (see `footprint`). By 200 an index whose
recall was 0.989 was taken for one of 0.995."""
_MIN_OTHERS = 5
"""Held back only while so many times as many rows remain: a small gallery has none to spare."""


@dataclass(frozen=True)
class Sample:
    """What a new index is asked. positions: `[Q]`; kth: `[Q]` cosine of the k-th nearest other
    row, so that whatever is at least as near counts as found."""

    queries: Vectors
    positions: NDArray[np.int64]
    kth: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Vectors, *, seed: int) -> Sample:
        """Draw up to 500 of `[N, D]` rows and find their exact neighbours."""
        positions = np.random.default_rng(seed).permutation(len(rows))[:_SIZE].astype(np.int64)
        queries = np.ascontiguousarray(rows[positions])
        # A row is its own nearest, so its k-th other one comes at place k + 1.
        k = min(RANKS + 1, len(rows))
        parts = range(0, len(queries), _AT_ONCE)
        kth = np.concatenate(
            [kth_best(queries[start : start + _AT_ONCE], rows, k=k) for start in parts]
        )
        return cls(queries=queries, positions=positions, kth=kth)

    def others(self, rows: Vectors, *, at_most: int | None = None) -> Vectors:
        """The rows to train on: all but these, where enough remain; so many of them by chance."""
        if len(rows) < (_MIN_OTHERS + 1) * len(self.positions):
            return rows
        kept = np.delete(np.arange(len(rows)), self.positions)
        if at_most is not None and at_most < len(kept):
            chosen = np.random.default_rng(0).choice(len(kept), at_most, replace=False)
            kept = kept[np.sort(chosen)]
        return rows[kept]

    def recall(self, found: NDArray[np.int64], rows: Vectors) -> float:
        """Share of the true ten nearest others that `found` `[Q, 11]` holds; ties count as equal.

        That a row finds itself is no merit, and is not counted.
        """
        wanted = min(RANKS, len(rows) - 1)
        if not wanted:
            return 1.0
        hits = 0
        for query, own, positions, kth in zip(
            self.queries, self.positions, found, self.kth, strict=True
        ):
            distinct = np.unique(positions[(positions >= 0) & (positions != own)])
            hits += min(wanted, int((rows[distinct] @ query >= kth - MARGIN).sum()))
        return hits / (wanted * len(self.queries))

    def lost(self, found: NDArray[np.int64], rows: Vectors) -> int:
        """How many rows do not find themselves, or a row equal to them."""
        return sum(
            not (rows[positions[positions >= 0]] @ query >= rows[own] @ query - MARGIN).any()
            for query, positions, own in zip(self.queries, found, self.positions, strict=True)
        )
