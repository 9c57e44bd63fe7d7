"""One search, from unit rows to the answer: filter, rank, rank again, group, describe.

A request sees one snapshot of the vectors and one moment of the catalogue. Blocking.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lorgnette.alignment import Alignment
from lorgnette.vectors import Vectors
from lorgnette.wire import Hit, Options, Rerank, SearchResponse
from service.gallery.grouping import Value, group_values, grouped
from service.gallery.records import Item
from service.gallery.rerank import POOL, RERANKINGS
from service.gallery.snapshot import Found, Snapshot
from service.metrics import Metrics
from service.state import Opened

_FIRST_POOL, _LARGEST_POOL = 64, 16_384
"""Hits ranked to find groups: at first at least, and at most."""


class Stages:
    """What one request spends its time on, for the answer and for the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = time.perf_counter()
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; one that comes again adds to what it took before."""
        started = time.perf_counter()
        with self._metrics.stage(name):
            yield
        took_ms = (time.perf_counter() - started) * 1000
        self.ms[name] = round(self.ms.get(name, 0.0) + took_ms, 3)

    def took_ms(self) -> float:
        """Since the request was begun."""
        return round((time.perf_counter() - self._started) * 1000, 3)

    def header(self) -> str:
        """As `Server-Timing`."""
        return ", ".join(f"{name};dur={ms}" for name, ms in self.ms.items())


@dataclass(frozen=True)
class Question:
    """rows: `[N, D]` unit rows of the snapshot's space. student: who embedded them, if that is
    known. alignment: what has mapped them, see `aligned`."""

    rows: Vectors
    snapshot: Snapshot
    options: Options
    student: str | None = None
    alignment: Alignment | None = None


def aligned(opened: Opened, question: Question, *, stages: Stages) -> Question:
    """The question with its rows mapped by their student's alignment with this gallery.

    As it was, where the student is unknown or has none. Blocking.
    """
    if question.student is None:
        return question
    with opened.catalogue.reading() as connection, stages.stage("align"):
        learned = opened.alignments.of(connection, question.snapshot.space, question.student)
        if learned is None:
            return question
        return replace(question, rows=learned(question.rows), alignment=learned)


def answer(opened: Opened, question: Question, *, stages: Stages) -> bytes:
    """The answer as JSON. An item deleted since the snapshot is left out."""
    options, snapshot = question.options, question.snapshot
    matching = None
    with opened.catalogue.reading() as connection:
        if options.filter is not None:
            with stages.stage("filter"):
                snapshot = snapshot.only(opened.matching.keys(connection, options.filter))
            matching = snapshot.count
        asked = _Asked(connection, snapshot, question.rows, options, stages)
        found, values = asked.grouped() if options.group_by else (asked.ranked(), {})
        if options.filter is None and asked.top_scores:
            opened.drift.searched(snapshot.space.id, asked.top_scores)
        with stages.stage("metadata"):
            items = opened.catalogue.items([hit.key for row in found for hit in row])
    response = SearchResponse(
        space=snapshot.space.id,
        generation=snapshot.generation,
        results=[[_hit(h, items, values, options) for h in row if h.key in items] for row in found],
        took_ms=stages.took_ms(),
        matching=matching,
        is_aligned=question.alignment is not None,
        stages_ms=stages.ms,
    )
    return response.model_dump_json().encode()


def _hit(
    hit: Found, items: Mapping[int, Item], values: Mapping[int, Value], options: Options
) -> Hit:
    item, wanted = items[hit.key], options.fields
    metadata = item.metadata
    if wanted is not None:
        metadata = {name: metadata[name] for name in wanted if name in metadata}
    return Hit(id=item.id, score=hit.score, metadata=metadata, group=values.get(hit.key))


@dataclass
class _Asked:
    """A question at work. top_scores: the best cosine of each row that has any, once ranked."""

    connection: sqlite3.Connection
    snapshot: Snapshot
    rows: Vectors
    options: Options
    stages: Stages
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
