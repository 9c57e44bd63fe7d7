"""What goes into the catalogue and comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from lorgnette.errors import Conflict
from lorgnette.manifest import Space
from lorgnette.vectors import Vectors


class Stale(Conflict):
    """What was to be changed is no longer what the caller saw."""


Keys = NDArray[np.int64]
"""`[N]` int64 item keys."""


@dataclass(frozen=True)
class Stamp:
    """What tells a changed file without reading it."""

    size: int
    mtime_ns: int


class Item(NamedTuple):
    """A live item. key: never used twice; source: the file it was embedded from, or empty."""

    key: int
    id: str
    source: str
    metadata: dict[str, JsonValue]


@dataclass(frozen=True)
class NewItem:
    """An item to write. vector: the unit row `[D]` float32."""

    id: str
    source: str
    stamp: Stamp
    metadata: Mapping[str, JsonValue]
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class Put:
    """An item to write, with its unit row `[D]` float32 of each space. source: of its photograph,
    below the data directory; empty for one that was given as a vector."""

    id: str
    source: str
    stamp: Stamp
    metadata: Mapping[str, JsonValue]
    vectors: Mapping[Space, NDArray[np.float32]]


@dataclass(frozen=True)
class Known:
    """What the catalogue holds under an id. has_vector: in the space asked for."""

    key: int
    id: str
    source: str
    stamp: Stamp
    has_vector: bool


@dataclass(frozen=True)
class Changes:
    """One space after some `seq`: `rows[i]` is now the vector of `keys[i]`; `gone` have none."""

    seq: int
    keys: Keys
    rows: Vectors
    gone: Keys
