"""What a sampler chooses for one batch: which views, and which of them are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Columns = Literal["student", "teacher"]
"""Who embeds the others of a tuple: the student (all members are images), or the teacher."""


@dataclass(frozen=True, eq=False)
class Layout:
    """The pairs of a batch, by view number.

    images: int64 `[N]`, to be rendered.  anchors: int64 `[A]`, places in `images`.
    others: int64 `[X]`, the columns; None: the images themselves.  used: bool `[A, X]`.
    """

    images: NDArray[np.int64]
    anchors: NDArray[np.int64]
    others: NDArray[np.int64] | None
    used: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Images:
    """Views compared all with all.  numbers: int64 `[N]`.  aspect: width / height of the batch."""

    numbers: NDArray[np.int64]
    aspect: float

    def layout(self) -> Layout:
        """Every image is an anchor, every image a column, every pair allowed."""
        n = len(self.numbers)
        return Layout(self.numbers, np.arange(n, dtype=np.int64), None, np.ones((n, n), dtype=bool))


@dataclass(frozen=True, eq=False)
class Tuples:
    """Anchors with their own others.  members: int64 `[T, 2 + n]`: anchor, positive, n negatives.

    columns: who embeds the others.  The columns of a tuple are all its members, the anchor too:
    whether the pair of a view with itself counts is the objective's choice (`self_pair`).
    """

    members: NDArray[np.int64]
    columns: Columns
    aspect: float

    def layout(self) -> Layout:
        """An anchor is paired with the members of its own tuple only: `used` is block diagonal."""
        count, width = self.members.shape
        used = np.kron(np.eye(count, dtype=bool), np.ones((1, width), dtype=bool))
        if self.columns == "student":
            anchors = np.arange(count, dtype=np.int64) * width
            return Layout(self.members.reshape(-1), anchors, None, used)
        anchors = np.arange(count, dtype=np.int64)
        return Layout(self.members[:, 0], anchors, self.members.reshape(-1), used)


Choice = Images | Tuples
"""All that a sampler decides about one batch."""
