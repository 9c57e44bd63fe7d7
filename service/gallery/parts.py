"""The two halves of a snapshot: a published generation, and the tail written after it.

Both answer the same question, and so exactly that which one holds a vector cannot be told from
the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lorgnette.vectors import Vectors
from service.gallery.exact import MARGIN, Scores, candidates_of, exact_scores, ranked
from service.gallery.generations import Generation
from service.gallery.records import Changes, Keys

_SLACK = 8

Ranking = tuple[Scores, Keys]
"""`[<= k]` scores and keys, best first, equal scores by key."""


@dataclass(frozen=True)
class GenerationPart:
    """A generation seen through its tombstones. is_dead: `[N]` by position, deleted or replaced."""

    generation: Generation
    is_dead: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of rows that can be found."""
        return int(len(self.is_dead) - self.is_dead.sum())

    def without(self, keys: Keys) -> GenerationPart:
        """The same generation with further keys dead; unknown ones are ignored."""
        held = self.generation.keys
        positions = np.searchsorted(held, keys)
        positions = positions[positions < len(held)]
        matching = positions[np.isin(held[positions], keys)]
        if not len(matching):
            return self
        is_dead = self.is_dead.copy()
        is_dead[matching] = True
        return GenerationPart(generation=self.generation, is_dead=is_dead)

    def search(self, rows: Vectors, *, k: int) -> list[Ranking]:
        """The k best living rows for each of `[N, D]`, fetching more until none is missing."""
        wanted = min(k, self.count)
        total = len(self.is_dead)
        done: dict[int, Ranking] = {}
        fetch = min(total, wanted + _SLACK)
        while wanted and len(done) < len(rows):
            waiting = [n for n in range(len(rows)) if n not in done]
            scores, positions = self.generation.index.search(rows[waiting], k=fetch)
            for n, row_scores, row_positions in zip(waiting, scores, positions, strict=True):
                if fetch == total or self._suffices(row_scores, row_positions, wanted=wanted):
                    done[n] = self._ranked(rows[n], row_scores, row_positions, k=wanted)
            fetch = min(total, 4 * fetch)
        return [done[n] for n in range(len(rows))] if wanted else [_NOTHING] * len(rows)

    def _suffices(self, scores: Scores, positions: NDArray[np.int64], *, wanted: int) -> bool:
        if positions[-1] < 0:
            return True
        living = scores[~self.is_dead[positions]]
        if len(living) < wanted:
            return False
        # What was not fetched is no better than the last: is that surely worse than the k-th?
        return not self.generation.index.is_exact or bool(scores[-1] < living[wanted - 1] - MARGIN)

    def _ranked(
        self, query: NDArray[np.float32], scores: Scores, positions: NDArray[np.int64], *, k: int
    ) -> Ranking:
        found = positions >= 0
        found[found] = ~self.is_dead[positions[found]]
        scores, positions = scores[found], positions[found]
        if self.generation.index.is_exact:
            scores = exact_scores(query, self.generation.index.rows_at(positions))
        return ranked(scores.clip(-1.0, 1.0), self.generation.keys[positions], k=k)


_NOTHING: Ranking = (np.empty(0, np.float32), np.empty(0, np.int64))


@dataclass(frozen=True)
class TailPart:
    """Rows written after the generation. rows: `[T, D]`; keys, is_dead: `[T]`."""

    rows: Vectors
    keys: Keys
    is_dead: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of rows that can be found."""
        return int(len(self.is_dead) - self.is_dead.sum())

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
