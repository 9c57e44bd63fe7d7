"""The two halves of a snapshot: a published generation, and the tail written after it.

Both answer the same question, and so exactly that which one holds a vector cannot be told from
the result. What a filter leaves out is dead to that question: it needs no search of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lorgnette.vectors import Vectors
from service.gallery.exact import MARGIN, Scores, candidates_of, exact_scores, ranked
from service.gallery.generations import Generation
from service.gallery.records import Changes, Keys

_SLACK = 8

_FEW_SHARE, _FEW = 0.1, 2_000
"""As few living rows are compared one by one: of an exact index, which gives a tenth of its rows
faster than it searches them; of another, whose rows must come from the catalogue (5 µs each)."""

_MANY_SHARE = 0.5
"""From here on the dead cost less to leave out afterwards."""

_SELECTED_BATCH = 4
"""A selector keeps an exact index from using BLAS: larger batches rather fetch too much there."""

_MOST_FETCHED = 65_536
"""Rows read from the catalogue at most, when an approximate index found too few."""

Ranking = tuple[Scores, Keys]
"""`[<= k]` scores and keys, best first, equal scores by key."""

RowSource = Callable[[Keys], tuple[Keys, Vectors]]
"""Where the true rows of keys are, in float32: those that still exist, by key."""


@dataclass(frozen=True)
class GenerationPart:
    """A generation seen through its tombstones. is_dead: `[N]` by position, deleted or replaced.

    source: of the rows themselves, for an index that does not hold them exactly.
    """

    generation: Generation
    is_dead: NDArray[np.bool_]
    source: RowSource

    @cached_property
    def count(self) -> int:
        """Number of rows that can be found."""
        return int(len(self.is_dead) - np.count_nonzero(self.is_dead))

    @property
    def _all_live(self) -> bool:
        return self.count == len(self.is_dead)

    @cached_property
    def is_exact(self) -> bool:
        """Whether its index compares with every row as it is."""
        return self.generation.index.is_exact

    def without(self, keys: Keys) -> GenerationPart:
        """The same generation with further keys dead; unknown ones are ignored."""
        matching = _positions(self.generation.keys, keys)
        if not len(matching):
            return self
        is_dead = self.is_dead.copy()
        is_dead[matching] = True
        return replace(self, is_dead=is_dead)

    def only(self, keys: Keys) -> GenerationPart:
        """The same generation with all but these keys dead."""
        is_other = ~np.isin(self.generation.keys, keys, kind="table")
        return replace(self, is_dead=self.is_dead | is_other)

    def rows_of(self, keys: Keys) -> tuple[Keys, Vectors]:
        """The living ones of the keys, ascending, and their rows `[M, D]`."""
        mine = _positions(self.generation.keys, keys)
        mine = np.sort(mine[~self.is_dead[mine]])
        held = self.generation.keys[mine]
        if self.generation.index.is_exact:
            return held, self.generation.index.rows_at(mine)
        return self.source(held)

    def search(self, rows: Vectors, *, k: int) -> list[Ranking]:
        """The k best living rows for each of `[N, D]`: of few, all are compared."""
        wanted, total = min(k, self.count), len(self.is_dead)
        if not wanted:
            return [_NOTHING] * len(rows)
        is_exact = self.generation.index.is_exact
        if self.count < total and self.count <= (_FEW_SHARE * total if is_exact else _FEW):
            return self._compared(rows, k=wanted)
        found = self._looked_up(rows, wanted=wanted)
        if not is_exact and self.count < min(total, _MOST_FETCHED):
            short = [n for n, (_, keys) in enumerate(found) if len(keys) < wanted]
            for n, ranking in zip(short, self._compared(rows[short], k=wanted), strict=True):
                found[n] = ranking
        return found

    def _compared(self, rows: Vectors, *, k: int) -> list[Ranking]:
        """Exact search among the living, by their rows."""
        if not len(rows):
            return []
        keys, matrix = self.rows_of(self.generation.keys[~self.is_dead])
        tail = TailPart(rows=matrix, keys=keys, is_dead=np.zeros(len(keys), np.bool_))
        return tail.search(rows, k=k)

    def _looked_up(self, rows: Vectors, *, wanted: int) -> list[Ranking]:
        """Search the index, fetching more until none is missing."""
        total, index = len(self.is_dead), self.generation.index
        is_selecting = (
            self.count < _MANY_SHARE * total
            and index.can_select
            and not (index.is_exact and len(rows) > _SELECTED_BATCH)
        )
        done: dict[int, Ranking] = {}
        # So many of the fetched are expected to live.
        expected = wanted if is_selecting else int(wanted * total / self.count)
        fetch = min(total, expected + _SLACK)
        waiting, asked = list(range(len(rows))), rows
        while waiting:
            scores, positions = (
                index.search_among(asked, k=fetch, is_wanted=~self.is_dead)
                if is_selecting
                else index.search(asked, k=fetch)
            )
            for n, row_scores, row_positions in zip(waiting, scores, positions, strict=True):
                if fetch == total or self._suffices(row_scores, row_positions, wanted=wanted):
                    done[n] = self._ranked(rows[n], row_scores, row_positions, k=wanted)
            waiting = [n for n in waiting if n not in done]
            fetch, asked = min(total, 4 * fetch), rows[waiting]
        return [done[n] for n in range(len(rows))]

    def _suffices(self, scores: Scores, positions: NDArray[np.int64], *, wanted: int) -> bool:
        if positions[-1] < 0:
            return True
        living = scores if self._all_live else scores[~self.is_dead[positions]]
        if len(living) < wanted:
            return False
        # What was not fetched is no better than the last: is that surely worse than the k-th?
        return not self.is_exact or bool(scores[-1] < living[wanted - 1] - MARGIN)

    def _ranked(
        self, query: NDArray[np.float32], scores: Scores, positions: NDArray[np.int64], *, k: int
    ) -> Ranking:
        if positions[-1] < 0 or not self._all_live:
            found = positions >= 0
            found[found] = ~self.is_dead[positions[found]]
            scores, positions = scores[found], positions[found]
        if self.is_exact:
            scores = exact_scores(query, self.generation.index.rows_at(positions))
        else:
            scores = scores.clip(-1.0, 1.0)
        return ranked(scores, self.generation.keys[positions], k=k)


def _positions(held: Keys, keys: Keys) -> NDArray[np.int64]:
    """Where the keys are in ascending `held`; those that are not are left out."""
    positions = np.searchsorted(held, keys)
    is_held = positions < len(held)
    is_held[is_held] = held[positions[is_held]] == keys[is_held]
    return positions[is_held]


_NOTHING: Ranking = (np.empty(0, np.float32), np.empty(0, np.int64))


@dataclass(frozen=True)
class TailPart:
    """Rows written after the generation. rows: `[T, D]`; keys, is_dead: `[T]`."""

    rows: Vectors
    keys: Keys
    is_dead: NDArray[np.bool_]
    is_exact: ClassVar[bool] = True

    @cached_property
    def count(self) -> int:
        """Number of rows that can be found."""
        return int(len(self.is_dead) - np.count_nonzero(self.is_dead))

    def only(self, keys: Keys) -> TailPart:
        """The same rows with all but these keys dead."""
        return replace(self, is_dead=self.is_dead | ~np.isin(self.keys, keys))

    def rows_of(self, keys: Keys) -> tuple[Keys, Vectors]:
        """The living ones of the keys, ascending, and their rows `[M, D]`."""
        mine = np.flatnonzero(np.isin(self.keys, keys) & ~self.is_dead)
        mine = mine[np.argsort(self.keys[mine])]
        return self.keys[mine], self.rows[mine]

    def search(self, rows: Vectors, *, k: int) -> list[Ranking]:
        """The k best living rows for each of `[N, D]`."""
        wanted = min(k, self.count)
        if not wanted:
            return [_NOTHING] * len(rows)
        candidates = candidates_of(rows, self.rows, self.is_dead, k=wanted)
        return [
            ranked(exact_scores(query, self.rows[chosen]), self.keys[chosen], k=wanted)
            for query, chosen in zip(rows, candidates, strict=True)
        ]


@dataclass
class TailLog:
    """The growing tail. Rows are only ever appended, so the parts handed out stay true.

    position_of: where each living key's row is.
    """

    dim: int
    count: int = 0
    position_of: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rows: Vectors = np.empty((256, self.dim), np.float32)
        self._keys: Keys = np.empty(256, np.int64)
        self._is_dead: NDArray[np.bool_] = np.empty(256, np.bool_)

    def apply(self, changes: Changes) -> None:
        """Append the new rows; what they replace, and what is gone, is dead from now on."""
        for key in (*changes.gone.tolist(), *changes.keys.tolist()):
            position = self.position_of.pop(key, None)
            if position is not None:
                self._is_dead[position] = True
        if self.count + len(changes.keys) > len(self._keys):
            self._move(room=len(changes.keys))
        start, stop = self.count, self.count + len(changes.keys)
        self._rows[start:stop] = changes.rows
        self._keys[start:stop] = changes.keys
        self._is_dead[start:stop] = False
        self.position_of.update(zip(changes.keys.tolist(), range(start, stop), strict=True))
        self.count = stop

    def part(self) -> TailPart:
        """The tail as it is now. Rows and keys are shared, tombstones are its own."""
        return TailPart(
            rows=self._rows[: self.count],
            keys=self._keys[: self.count],
            is_dead=self._is_dead[: self.count].copy(),
        )

    def _move(self, *, room: int) -> None:
        """Move the living rows to larger arrays; parts handed out keep the old ones."""
        living = np.flatnonzero(~self._is_dead[: self.count])
        count, capacity = len(living), 2 * (len(living) + room)
        rows, keys = np.empty((capacity, self.dim), np.float32), np.empty(capacity, np.int64)
        rows[:count], keys[:count] = self._rows[living], self._keys[living]
        self._rows, self._keys, self.count = rows, keys, count
        self._is_dead = np.zeros(capacity, np.bool_)
        self.position_of = dict(zip(keys[:count].tolist(), range(count), strict=True))
