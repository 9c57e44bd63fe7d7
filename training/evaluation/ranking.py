"""From vectors to rankings, and today's two figures of a ranking: mAP and P@1.  numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration, InvalidVector
from lorgnette.vectors import Vectors

_QUERIES_AT_ONCE = 256
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Score:
    """mean_ap: non-interpolated mAP.  precision_at_1: P@1.  Both in [0, 1], over `queries`."""

    mean_ap: float
    precision_at_1: float
    queries: int


@dataclass(frozen=True)
class Ranking:
    """What each query found, best first.

    order: uint32 `[Q, K]`, rows of the gallery.  places: int64 `[Q, K]`, rising in each row: the
    place, counted from 0, in the list that also holds the distractors; without them 0, 1, 2, ...
    """

    order: NDArray[np.uint32]
    places: NDArray[np.int64]


def score(
    queries: Vectors,
    gallery: Vectors,
    relevant: NDArray[np.bool_],
    *,
    own: NDArray[np.int64] | None = None,
) -> Score:
    """Rank the gallery for each query and score the ranking, in float64.

    queries: `[Q, D]`.  gallery: `[G, D]`.  relevant: `[Q, G]`, at least one in each row.
    own: for leave-one-out, each query's own row of the gallery, which is left out.
    Of equal similarities the earlier row of the gallery comes first.
    Raises `InvalidVector` for a row that is not finite.
    """
    precisions, firsts = [], []
    held = gallery.astype(np.float64)
    for begin in range(0, len(queries), _QUERIES_AT_ONCE):
        chunk = slice(begin, begin + _QUERIES_AT_ONCE)
        s = _similarities(queries[chunk], held, own=None if own is None else own[chunk])
        order = np.argsort(-s, axis=1, kind="stable")
        ranked = np.take_along_axis(relevant[chunk], order, axis=1)
        precisions.append(average_precision(ranked))
        firsts.append(ranked[:, 0])
    return Score(
        mean_ap=float(np.concatenate(precisions).mean()),
        precision_at_1=float(np.concatenate(firsts).mean()),
        queries=len(queries),
    )


def ratio(value: float, reference: float) -> float | None:
    """How many times the reference; None of 0, which has no multiple."""
    return value / reference if reference else None


def ratio_text(found: float | None) -> str:
    """Three decimals, or a dash."""
    return "–" if found is None else f"{found:.3f}"


def average_precision(ranked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Non-interpolated AP `[Q]`: the mean, over the relevant ranks k, of the precision at k.

    ranked: `[Q, G]` relevance, best first, at least one in each row.
    """
    hits = ranked.cumsum(axis=1)
    precision = hits / np.arange(1, ranked.shape[1] + 1)
    ap: NDArray[np.float64] = (precision * ranked).sum(axis=1) / hits[:, -1]
    return ap


def rank_all(queries: Vectors, gallery: Vectors, *, distractors: Iterable[Vectors] = ()) -> Ranking:
    """Rank the whole gallery `[G, D]` for each of the queries `[Q, D]`, among distractors.

    distractors: `[C, D]` rows, a chunk at a time.  None of them is ever an answer, so they are
    only counted: a million cost the memory of one chunk.  Ties: earlier rows of the gallery
    first, distractors last.  Raises `InvalidVector` for a row that is not finite.
    """
    s = _similarities(queries, gallery.astype(np.float64), own=None)
    order = np.argsort(-s, axis=1, kind="stable")
    falling = np.take_along_axis(s, order, axis=1)
    places = np.tile(np.arange(len(gallery), dtype=np.int64), (len(queries), 1))
    for rows in distractors:
        rising = np.sort(_similarities(queries, rows.astype(np.float64), own=None), axis=1)
        for query in range(len(queries)):
            closer = np.searchsorted(rising[query], falling[query], side="right")
            places[query] += len(rows) - closer
    return Ranking(order.astype(np.uint32), places)


def nearest(
    queries: Vectors,
    gallery: Iterable[Vectors],
    *,
    k: int,
    own: NDArray[np.int64] | None = None,
) -> Ranking:
    """The k best of a gallery that is read a chunk `[C, D]` at a time, for each query `[Q, D]`.

    own: for leave-one-out, each query's own row of the gallery, which is left out.
    k beyond the gallery is all of it.  Ties: earlier rows first.
    Raises `InvalidVector` for a row that is not finite.
    """
    assert k >= 1
    best = _Best(np.empty((len(queries), 0)), np.empty((len(queries), 0), dtype=np.uint32))
    seen = 0
    for rows in _regrouped(gallery):
        best = _with_chunk(best, queries, rows, first=seen, k=k, own=own)
        seen += len(rows)
    held = seen - (own is not None)
    if held < 1:
        raise InvalidConfiguration("the gallery is empty: there is nothing to rank")
    order = best.order[:, :held]  # a query's own row, at -inf, is the last of a list of all
    return Ranking(order, np.tile(np.arange(order.shape[1], dtype=np.int64), (len(queries), 1)))


@dataclass(frozen=True)
class _Best:
    """s: float64 `[Q, K]`, falling.  order: uint32 `[Q, K]`, whose they are."""

    s: NDArray[np.float64]
    order: NDArray[np.uint32]


def _with_chunk(
    best: _Best,
    queries: Vectors,
    rows: Vectors,
    *,
    first: int,
    k: int,
    own: NDArray[np.int64] | None,
) -> _Best:
    """The k best of those before and of a chunk whose first row is number `first`."""
    width = min(k, best.s.shape[1] + len(rows))
    s, order = np.empty((len(queries), width)), np.empty((len(queries), width), dtype=np.uint32)
    held = rows.astype(np.float64)
    numbers = np.arange(first, first + len(rows), dtype=np.uint32)
    for begin in range(0, len(queries), _QUERIES_AT_ONCE):
        chunk = slice(begin, begin + _QUERIES_AT_ONCE)
        mine = None if own is None else own[chunk] - first
        found = _similarities(queries[chunk], held, own=mine)
        s[chunk], order[chunk] = _merged(
            np.concatenate([best.s[chunk], found], axis=1),
            np.concatenate([best.order[chunk], np.broadcast_to(numbers, found.shape)], axis=1),
            width=width,
        )
    return _Best(s, order)


def _merged(
    s: NDArray[np.float64], order: NDArray[np.uint32], *, width: int
) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """The `width` best of a list, sorted; the earlier column wins ties."""
    if width < s.shape[1]:
        chosen = _largest(s, width)
        s, order = np.take_along_axis(s, chosen, axis=1), np.take_along_axis(order, chosen, axis=1)
    best = np.argsort(-s, axis=1, kind="stable")
    return np.take_along_axis(s, best, axis=1), np.take_along_axis(order, best, axis=1)


def _largest(s: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The columns `[Q, count]`, rising, of each row's largest values; ties: the earlier column.

    A partition and three passes: sorting whole rows would be most of the time of a search.
    """
    last = np.partition(s, -count, axis=1)[:, -count, None]
    above = s > last
    level = s == last
    room = count - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (level.cumsum(axis=1) <= room))
    return np.nonzero(chosen)[1].reshape(len(s), count)


def _similarities(
    queries: Vectors, gallery: NDArray[np.float64], *, own: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """`[Q, G]` in float64, a query's own row at -inf."""
    with np.errstate(invalid="ignore", over="ignore"):
        s: NDArray[np.float64] = queries.astype(np.float64) @ gallery.T
    if not np.isfinite(s).all():
        raise InvalidVector(
            "a query or a row of the gallery holds NaN or infinity, so it cannot be ranked: the "
            "network that embedded it has diverged, or its cached rows are damaged"
        )
    if own is not None:
        inside = np.flatnonzero((own >= 0) & (own < len(gallery)))
        s[inside, own[inside]] = -np.inf
    return s


def _regrouped(chunks: Iterable[Vectors]) -> Iterator[Vectors]:
    """The same rows in chunks of at least `_ROWS_AT_ONCE`, but for the last."""
    waiting: list[Vectors] = []
    for rows in chunks:
        waiting.append(rows)
        if sum(map(len, waiting)) >= _ROWS_AT_ONCE:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
