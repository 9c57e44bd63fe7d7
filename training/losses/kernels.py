"""The stable forms the losses share, each in one place.

All work along the last dimension, in the dtype of their first argument.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mean(values: Tensor) -> Tensor:
    """Mean of all values, a scalar; 0 of none, where `Tensor.mean` would give NaN."""
    total: Tensor = values.sum() / max(values.numel(), 1)
    return total


def masked_mean(values: Tensor, used: Tensor) -> Tensor:
    """Mean of the used values, a scalar; 0 where none is used.  used: bool, broadcast to values."""
    weights = used.to(values.dtype).expand_as(values)
    total: Tensor = (values * weights).sum() / weights.sum().clamp(min=1)
    return total


def masked_row_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of each row.

    values: `[A, X]`.  weights: `[A, X]` >= 0.  Returns `[A]`; a row without weight gives 0 and has
    no gradient.
    """
    total = weights.sum(dim=-1)
    rows: Tensor = (values * weights).sum(dim=-1) / total.clamp(min=1e-12)
    return rows


def log1p_sum_exp(z: Tensor, weights: Tensor) -> Tensor:
    """Return log(1 + Σ w eᶻ) of each row, for any finite z.

    z, weights: `[..., X]`, weights >= 0.  Returns `[...]` >= 0; a row without weight gives 0.
    The 1 is e⁰ in one more column, and it keeps that row finite.
    """
    return F.pad(z + weights.log(), (1, 0)).logsumexp(dim=-1)


def log_sum_exp(z: Tensor, weights: Tensor) -> Tensor:
    """Return log(Σ w eᶻ) of each row, for any finite z.

    z, weights: `[..., X]`, weights >= 0.  Returns `[...]`; a row without weight has no logarithm:
    it gives 0 and has no gradient.
    """
    empty = (weights == 0).all(dim=-1, keepdim=True)
    # logsumexp of -inf alone has a NaN gradient, so an empty row is computed as if it were full.
    rows = (z + weights.masked_fill(empty, 1).log()).logsumexp(dim=-1)
    return rows.masked_fill(empty.squeeze(-1), 0)


def root(squared: Tensor) -> Tensor:
    """Square root whose value and gradient at 0, and below by rounding, are 0."""
    positive = squared > 0
    # The root's own gradient at 0 is infinite, and infinity times a masked 0 would be NaN.
    return squared.where(positive, squared.new_ones(())).sqrt() * positive


def distance(s: Tensor) -> Tensor:
    """Euclidean distance of unit rows from their cosine: √(2 - 2s), in [0, 2].

    Its gradient grows without bound towards s = 1, and at s = 1, where a distance has no
    direction, it is 0.
    """
    return root(2 - 2 * s)


def sine(s: Tensor) -> Tensor:
    """Sine of the angle from its cosine: √(1 - s²), in [0, 1]; the gradient at |s| = 1 is 0."""
    return root((1 - s) * (1 + s))


def kl_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(softmax(teacher) ‖ softmax(student)) along the last dimension.

    student, teacher: logits `[..., K]`.  Returns `[...]` >= 0.
    """
    log_p = torch.log_softmax(teacher, dim=-1)
    log_q = torch.log_softmax(student, dim=-1)
    rows: Tensor = (log_p.exp() * (log_p - log_q)).sum(dim=-1)
    return rows
