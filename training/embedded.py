"""A batch once the student has seen it, and what a term of an objective makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from training.data.loader import Batch
from training.pairs import Identity


@dataclass(frozen=True)
class Embedded:
    """rows: `[N, D]` float32, the student's unit rows of the batch's images, of all processes.

    student: to embed what is mixed of the images.  random: draws what is mixed.
    """

    batch: Batch
    rows: Tensor
    student: nn.Module
    random: np.random.Generator

    @property
    def anchors(self) -> Tensor:
        """Unit rows `[A, D]`."""
        return self.rows[self.batch.anchors]

    @property
    def who(self) -> Identity:
        """`[A]`: who the anchors are."""
        return self.batch.who.at(self.batch.anchors)


class Term(Protocol):
    """A part of the objective: its loss of a batch, a scalar, counts `weight` times."""

    @property
    def weight(self) -> float:  # noqa: D102  the class says it
        ...

    def __call__(self, seen: Embedded) -> Tensor:  # noqa: D102  the class says it
        ...
