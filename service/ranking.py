"""One question ranked: the nearest items of each row, ranked again, cut, grouped. Blocking."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.vectors import Vectors
from lorgnette.wire import Options, Rerank
from service.gallery.grouping import Value, group_values, grouped
from service.gallery.rerank import POOL, RERANKINGS
from service.gallery.snapshot import Found, Snapshot
from service.stages import Stages

_FIRST_POOL, _LARGEST_POOL = 64, 16_384
"""Hits ranked to find groups: at first at least, and at most."""


@dataclass
class Ranker:
    """A question at work. searched: its plain hits, where they were found together with others'.
    top_scores: the best cosine of each row that has any, once ranked."""

    connection: sqlite3.Connection
    snapshot: Snapshot
    rows: Vectors
    options: Options
    stages: Stages
    searched: list[list[Found]] | None = None
    top_scores: tuple[float, ...] = ()

    @property
    def _last(self) -> int:
        """How many of the best, hits or groups, are looked at: the skipped ones are too."""
        return self.options.offset + self.options.k

    def ranked(self) -> list[list[Found]]:
        """The hits from `offset` on."""
        return [row[self.options.offset : self._last] for row in self._best(self._last)]

    def grouped(self) -> tuple[list[list[Found]], dict[int, Value]]:
        """The hits of the groups from `offset` on, and each item's value."""
        size = self.options.group_size
        pool = max(_FIRST_POOL, 4 * self._last * size)
        while True:
            found = self._best(pool)
            with self.stages.stage("group"):
                keys = {hit.key for row in found for hit in row}
                assert self.options.group_by is not None
                values = group_values(self.connection, list(keys), field=self.options.group_by)
                groups = [grouped(row, values, size=size)[: self._last] for row in found]
            is_last = self.options.rerank or pool >= min(self.snapshot.count, _LARGEST_POOL)
            if is_last or all(map(self._is_complete, groups, found, [pool] * len(found))):
                break
            pool *= 4
        chosen = [[hit for group in row[self.options.offset :] for hit in group] for row in groups]
        return chosen, values

    def _is_complete(self, groups: list[list[Found]], found: list[Found], pool: int) -> bool:
        """Whether ranking more could add nothing: the groups are full, or the rest is too far."""
        is_full = all(len(group) == self.options.group_size for group in groups)
        return len(found) < pool or (len(groups) == self._last and is_full)

    def _best(self, count: int) -> list[list[Found]]:
        """The best so many of every row that reach the threshold, in their final order."""
        rerank = self.options.rerank
        found = self.searched
        if found is None:
            with self.stages.stage("search"):
                found = self.snapshot.search(self.rows, k=POOL if rerank else count)
        self.top_scores = tuple(row[0].score for row in found if row)
        if rerank:
            with self.stages.stage("rerank"):
                found = [
                    reranked(self.snapshot, query, row, rerank=rerank)
                    for query, row in zip(self.rows, found, strict=True)
                ]
        least = self.options.score_threshold
        if least is not None:
            found = [[hit for hit in row if hit.score >= least] for row in found]
        return found


def reranked(
    snapshot: Snapshot, query: NDArray[np.float32], pool: list[Found], *, rerank: Rerank
) -> list[Found]:
    """The pool in its new order with its new scores; equal ones by key."""
    if not pool:
        return pool
    keys = np.array([hit.key for hit in pool], np.int64)
    held, rows = snapshot.rows_of(keys)
    # An approximate index may know a key whose row was deleted meanwhile.
    keys = keys[np.isin(keys, held)]
    scores = RERANKINGS[rerank](query, rows[np.searchsorted(held, keys)])
    return [Found(key=int(keys[n]), score=float(scores[n])) for n in np.lexsort((keys, -scores))]
