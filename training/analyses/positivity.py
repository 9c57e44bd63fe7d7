"""Positivity: how often a mixed embedding acts as a positive.

A mixed column v is a positive for an anchor when ∂ℓ/∂s(a, v) <= 0: the loss pulls it.  Measured by
autograd for any loss, and in closed form for multi-similarity.  Venkataramanan et al., ICLR 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.pair import PairLoss
from training.pairs import Pairs


def pulled(loss: PairLoss, s: Tensor, pairs: Pairs) -> Tensor:
    """bool `[A, X]`: used pairs that the loss pulls together or leaves, ∂ℓ/∂s <= 0.

    s: `[A, X]` cosine.  pairs: `[A, X]`, y in [0, 1].
    """
    similarities = s.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(similarities, pairs), similarities)
    return (gradient <= 0) & pairs.mask


def each_alone(s: Tensor, y: Tensor) -> tuple[Tensor, Pairs]:
    """Each pair as the only one of an anchor: s, y `[K]` → `[K, 1]`.

    Only then do the sums of multi-similarity cancel and its closed form hold.
    """
    column = y[:, None]
    return s[:, None], Pairs(y=column, mask=torch.ones_like(column, dtype=torch.bool))


def multi_similarity_threshold(share: Tensor, *, alpha: float, beta: float, base: float) -> Tensor:
    """The s up to which a mixed embedding of this share is a positive: m + ln(λ/(1 - λ)) / (α + β).

    share: `[...]`, λ in (0, 1), the share of the positive.  alpha, beta, base: of
    multi-similarity.  Returns `[...]`, which may lie beyond the cosines.
    ∂ℓ/∂s <= 0 is (1 - λ) e^(β (s - m)) <= λ e^(-α (s - m)), once both denominators are multiplied
    out: their cross terms are equal.
    """
    return base + torch.logit(share) / (alpha + beta)


def closed_form(s: Tensor, threshold: Tensor) -> Tensor:
    """P(Pos) = F(threshold), F the distribution function of s `[K]`: share of s <= threshold."""
    return (s <= threshold).double().mean()
