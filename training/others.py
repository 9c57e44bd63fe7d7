"""Who embeds the columns that the anchors are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from training.data.loader import Batch
from training.data.row_cache import RowCache
from training.pairs import Identity


@dataclass(frozen=True)
class Columns:
    """x: `[X, D]` unit rows.  who: the identity of each row."""

    x: Tensor
    who: Identity


class Others(Protocol):
    """The columns for a batch, given the student's anchors `[A, D]`."""

    def __call__(self, batch: Batch, anchors: Tensor) -> Columns:  # noqa: D102  the class says it
        ...


@dataclass(frozen=True)
class Teacher:
    """The teacher's cached rows of the batch's columns; no gradient reaches them."""

    cache: RowCache

    def __call__(self, batch: Batch, anchors: Tensor) -> Columns:
        """Columns in the order of the batch, of the anchors' width."""
        numbers = batch.others.ids.numpy() % self.cache.binding.count
        rows = torch.from_numpy(self.cache.rows(numbers))
        return Columns(x=rows.to(anchors.device), who=batch.others)
