"""Batches of similar aspect: which shape each photograph has, and which it is resized to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.image import upright_size


@dataclass(frozen=True, eq=False)
class Shapes:
    """aspects: the B shapes a batch may have, width / height, growing.  nearest: int64 `[P]`.

    nearest: for each photograph, the place in `aspects` of the one nearest on a log scale.
    """

    aspects: tuple[float, ...]
    nearest: NDArray[np.int64]

    def groups(
        self, photographs: NDArray[np.int64], *, size: int, random: np.random.Generator
    ) -> list[tuple[NDArray[np.int64], float]]:
        """Cut n photographs into ceil(n / size) batches: places int64 `[<= size]`, and an aspect.

        Every place is in one batch; sizes differ by at most one, so no batch is tiny.  All of a
        batch have one shape, except where one shape's end meets the next one's beginning: at most
        B - 1 batches, which take the shape of their middle.  The batches come in random order.
        """
        shape = self.nearest[photographs]
        order = np.lexsort((random.permutation(len(photographs)), shape)).astype(np.int64)
        cut = [
            (random.permutation(part), self.aspects[shape[part[len(part) // 2]]])
            for part in evenly(order, size=size)
        ]
        return [cut[i] for i in random.permutation(len(cut))]

    def alike(
        self, photographs: NDArray[np.int64], *, size: int
    ) -> list[tuple[NDArray[np.int64], float]]:
        """The same in order and without exception: all of a batch have its shape."""
        shape = self.nearest[photographs]
        order = np.argsort(shape, kind="stable").astype(np.int64)
        borders = np.flatnonzero(np.diff(shape[order])) + 1
        parts = [part for same in np.split(order, borders) for part in evenly(same, size=size)]
        return [(part, self.aspects[shape[part[0]]]) for part in parts]


def shapes_of(paths: Sequence[Path], aspects: Sequence[float]) -> Shapes:
    """Read every photograph's header, unless there is one shape for all.

    aspects: different ones.  Raises `InvalidImage` naming a file that has no readable header.
    """
    shapes = tuple(sorted(aspects))
    if len(shapes) == 1:
        return Shapes(shapes, np.zeros(len(paths), dtype=np.int64))
    with ThreadPoolExecutor(2) as pool:
        found = np.array(list(pool.map(_log_aspect, paths)))
    distance = np.abs(found[:, None] - np.log(shapes)[None, :])
    return Shapes(shapes, np.argmin(distance, axis=1).astype(np.int64))


def evenly(order: NDArray[np.int64], *, size: int) -> list[NDArray[np.int64]]:
    """Cut `[n]` into ceil(n / size) parts whose sizes differ by at most one."""
    return np.array_split(order, math.ceil(len(order) / size))


def _log_aspect(path: Path) -> float:
    height, width = upright_size(path)
    return math.log(width / height)
