"""Pair losses: `(S [A, X], Pairs) -> scalar`.  Who embedded the columns is not their business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from training.losses.kernels import masked_row_mean
from training.pairs import Pairs


class PairLoss(Protocol):
    """s: `[A, X]` cosine in [-1, 1], at least float32.  pairs: `[A, X]`.  Returns a scalar."""

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:  # noqa: D102  the class says it
        ...


@dataclass(frozen=True)
class Regression:
    """Mean over anchors of 1 - s over their positives: ‖a - x‖² / 2 of unit rows.

    With `self_pair = "only"` it is the regression of Budnik and Avrithis, CVPR 2021: each anchor
    against its own teacher row, `-s(a, a)` there, shifted by 1 here so that 0 is perfect.
    Negatives do not enter.  Anchors without a used positive contribute 0.
    """

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar in [0, 2]."""
        return masked_row_mean(1 - s, pairs.pos.to(s.dtype)).mean()


LOSSES: dict[str, PairLoss] = {"regression": Regression()}
"""By the name a configuration gives."""
