"""What is wanted of each (anchor, other) pair: the same, different, or not used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import SelfPair


@dataclass(frozen=True)
class Pairs:
    """y: float `[A, X]` in [0, 1], 1 = same.  mask: bool `[A, X]`, False = not used."""

    y: Tensor
    mask: Tensor

    @property
    def pos(self) -> Tensor:
        """`[A, X]`: how much of each used pair is a positive."""
        return self.y * self.mask

    @property
    def neg(self) -> Tensor:
        """`[A, X]`: how much of each used pair is a negative."""
        return (1 - self.y) * self.mask


@dataclass(frozen=True)
class Identity:
    """Who the rows are.  ids: int64 `[N]`, the view.  labels: int64 `[N]`, what it shows."""

    ids: Tensor
    labels: Tensor


def pair_up(anchors: Identity, others: Identity, *, self_pair: SelfPair) -> Pairs:
    """Pairs `[A, X]`: same label is y = 1; a view's own row is used as `self_pair` says."""
    same_view = anchors.ids[:, None] == others.ids[None, :]
    same_label = anchors.labels[:, None] == others.labels[None, :]
    mask = {
        "ignore": ~same_view,
        "positive": torch.ones_like(same_view),
        "only": same_view,
    }[self_pair]
    return Pairs(y=(same_label | same_view).to(torch.float32), mask=mask)
