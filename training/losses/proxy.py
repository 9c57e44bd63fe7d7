"""Losses against class proxies: the columns are one learned unit row per class.

They are pair losses like the others, of rows = batch and columns = proxies, and of their own make
only in what is summed over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from training.losses.additive import Additive, Log, Log1p
from training.losses.kernels import log_sum_exp, masked_mean, masked_row_mean, mean, sine
from training.losses.pair import refuse_soft_labels
from training.pairs import Pairs


@dataclass(frozen=True)
class ArcFace:
    """Cross-entropy of scale · cos(θ + margin at the anchor's own class), θ = arccos s.

    scale: of the logits.  margin_radians: added to the angle to the positive.  Deng et al.,
    CVPR 2019, eq. 3.  Where θ + margin would pass π, and its cosine rise again, the logit is
    cos θ - margin · sin(margin), as the authors' released code has it and the paper has not.
    GLAM trains its teacher with margin 0.3 and an unpublished scale.

    Without arccos, whose gradient is infinite at s = ±1: cos(θ + m) = s cos m - √(1 - s²) sin m.
    An anchor has one positive column; of several, the mean is taken.
    """

    takes_soft_labels: ClassVar[bool] = False
    scale: float
    margin_radians: float

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar >= 0.  Raises `InvalidConfiguration` for soft labels."""
        refuse_soft_labels(pairs, loss="arcface")
        pos = pairs.pos.to(s.dtype)
        logits = self.scale * torch.where(pos > 0, self._with_margin(s), s)
        log_p = logits - log_sum_exp(logits, pairs.mask.to(s.dtype)).unsqueeze(-1)
        return mean(masked_row_mean(-log_p, pos))

    def _with_margin(self, s: Tensor) -> Tensor:
        m = self.margin_radians
        beyond = s < -math.cos(m)
        return torch.where(beyond, s - m * math.sin(m), s * math.cos(m) - sine(s) * math.sin(m))


@dataclass(frozen=True)
class ProxyAnchor:
    """Proxies are the anchors: multi-similarity's shape on Sᵀ, with two denominators.

        1/|P⁺| Σ_{p ∈ P⁺} log(1 + Σ_{x of p} e^(-α(s - m)))
        + 1/|P| Σ_p log(1 + Σ_{x not of p} e^(α(s + m)))

    P: the proxies with a used pair.  P⁺: those with a used positive in the batch.  alpha: α,
    sharpness.  margin_cosine: m.  Kim et al., CVPR 2020: 32 and 0.1.  (Metrix's table, in
    a form not verified, puts 1/α before each logarithm; the released forms do not.)
    """

    takes_soft_labels: ClassVar[bool] = True
    alpha: float
    margin_cosine: float

    @property
    def form(self) -> Additive:
        """Its σ and ρ, for rows that are proxies."""
        return Additive(
            pull=Log1p(lambda s: -self.alpha * (s - self.margin_cosine), divisor=1),
            push=Log1p(lambda s: self.alpha * (s + self.margin_cosine), divisor=1),
        )

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """s, pairs: rows = batch, columns = proxies, as for every loss.  Returns a scalar >= 0."""
        by_proxy = pairs.T
        pull, push = self.form.rows(s.T, by_proxy)
        with_positives = (by_proxy.pos > 0).any(dim=-1)
        return masked_mean(pull, with_positives) + masked_mean(push, by_proxy.mask.any(dim=-1))


@dataclass(frozen=True)
class ProxyNca:
    """-log of the positives' share of Σ e^(-‖a - x‖²/T) over all used proxies: ProxyNCA++.

    temperature: T, of the **squared distance**, as published (Teh et al., ECCV 2020: 1/9).  Of unit
    rows ‖a - x‖² = 2 - 2s, so the logits are 2s/T: a temperature τ of the cosine, e^(s/τ),
    is T/2.

    For soft labels, Σ y e^(2s/T) over Σ e^(2s/T) of every used proxy: y weighs the numerator, the
    denominator has no y.  Whether the Metrix paper weighs it by 1 - y is not verified.
    """

    takes_soft_labels: ClassVar[bool] = True
    temperature: float

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar >= 0; an anchor without a used positive contributes 0."""
        log = Log(lambda s: 2 * s / self.temperature)
        pos, used = pairs.pos.to(s.dtype), pairs.mask.to(s.dtype)
        rows = log(s, used) - log(s, pos)
        return mean(rows.masked_fill((pos == 0).all(dim=-1), 0))
