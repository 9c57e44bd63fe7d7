"""The stable forms the losses share, each in one place."""

from __future__ import annotations

from torch import Tensor


def masked_row_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of each row.

    values: `[A, X]`.  weights: `[A, X]` >= 0.  Returns `[A]`; a row without weight gives 0 and has
    no gradient.
    """
    total = weights.sum(dim=-1)
    mean: Tensor = (values * weights).sum(dim=-1) / total.clamp(min=1e-12)
    return mean
