"""A batch once the student has seen it: what the terms of an objective share."""

from __future__ import annotations

from dataclasses import dataclass

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
