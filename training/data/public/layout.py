"""Whether data from a file has the layout its data set publishes; each error says where not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidDataset

_NOWHERE = frozenset({"", ".", ".."})


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels from its top left corner; left < right, top < bottom."""

    left: float
    top: float
    right: float
    bottom: float


def entry(value: object, key: str, *, where: str) -> object:
    """What a dict holds under a key. Raises `InvalidDataset` when it is no dict or lacks it."""
    if not isinstance(value, dict):
        raise InvalidDataset(f"{where}: expected a dict, found a {type(value).__name__}")
    if key not in value:
        held = ", ".join(sorted(str(held) for held in value)[:10]) or "nothing"
        raise InvalidDataset(f"{where}: expected the key {key!r}, found {held}")
    return value[key]


def items(value: object, *, where: str) -> Sequence[object]:
    """A list or tuple. Raises `InvalidDataset`."""
    if not isinstance(value, list | tuple):
        raise InvalidDataset(f"{where}: expected a list, found a {type(value).__name__}")
    return value


def names(value: object, *, where: str) -> tuple[str, ...]:
    """Names of images, each a plain path below some folder. Raises `InvalidDataset`."""
    return tuple(plain_path(name, where=where) for name in items(value, where=where))


def plain_path(name: object, *, where: str) -> str:
    """A path that stays below the folder it is put after. Raises `InvalidDataset`."""
    text = name if isinstance(name, str) else ""
    # Plain text, not `PurePosixPath`: there are lists of a million names.
    if not _NOWHERE.isdisjoint(text.split("/")) or "\\" in text or not text.isprintable():
        raise InvalidDataset(f"{where}: expected the name of an image, found {name!r:.80}")
    return text


def indices(value: object, *, where: str, below: int) -> NDArray[np.int64]:
    """Places in a list of `below` images: int64 `[N]`. Raises `InvalidDataset`."""
    whole = whole_numbers(value, where=where)
    outside = whole[(whole < 0) | (whole >= below)]
    if len(outside):
        raise InvalidDataset(f"{where}: expected places in 0..{below - 1}, found {outside[0]}")
    return whole


def whole_numbers(value: object, *, where: str) -> NDArray[np.int64]:
    """int64 `[N]` from a list or a one-dimensional array. Raises `InvalidDataset`."""
    if isinstance(value, np.ndarray):
        if value.ndim != 1 or value.dtype.kind not in "iu":
            raise InvalidDataset(
                f"{where}: expected whole numbers, found {value.dtype} of shape {value.shape}"
            )
        return value.astype(np.int64)
    found = items(value, where=where)
    wrong = [x for x in found if isinstance(x, bool) or not isinstance(x, int) or abs(x) > 2**62]
    if wrong:
        raise InvalidDataset(f"{where}: expected whole numbers, found {wrong[0]!r:.80}")
    return np.array(found, dtype=np.int64)


def box(value: object, *, where: str) -> Box:
    """`[x1, y1, x2, y2]` in pixels. Raises `InvalidDataset`."""
    found = value.tolist() if isinstance(value, np.ndarray) else value
    corners = [
        float(x)
        for x in items(found, where=where)
        if isinstance(x, int | float) and not isinstance(x, bool) and abs(x) < 1e9
    ]
    if len(corners) != 4 or not all(map(math.isfinite, corners)):
        raise InvalidDataset(
            f"{where}: expected 4 pixel positions x1 y1 x2 y2, found {value!r:.80}"
        )
    left, top, right, bottom = corners
    if left >= right or top >= bottom:
        raise InvalidDataset(f"{where}: expected x1 < x2 and y1 < y2, found {corners}")
    return Box(left, top, right, bottom)
