"""The generic additive loss, of which most pair losses are instances.

    ℓ(a) = σ⁺(Σ_x y ρ⁺(s(a, x)))  +  σ⁻(Σ_x (1 - y) ρ⁻(s(a, x)))

over the used others x of an anchor a, with y in [0, 1]: for hard labels the form of Venkataramanan
et al. (Metrix), ICLR 2022, and for soft ones what they optimise on mixed pairs.  A loss that is not
of this form, such as the triplet loss, has no meaning they define for soft labels.

| loss | σ⁺(x) | σ⁻(x) | ρ⁺(s) | ρ⁻(s) |
|---|---|---|---|---|
| contrastive | x | x | 1 - s | [s - m]₊ |
| contrastive, as released | x | x | D²/2 | [m - D]₊²/2 |
| multi-similarity | log(1 + x)/α | log(1 + x)/β | e^(-α(s - m)) | e^(β(s - m)) |
| ProxyAnchor (rows are proxies) | log(1 + x) | log(1 + x) | e^(-α(s - m)) | e^(α(s + m)) |
| ProxyNCA++ | -log x | log x | e^(2s/T) | e^(2s/T), of every y |

The exponentials overflow (e^(75 · 1.8) in float32), so a side is not three functions but one that
computes σ(Σ w ρ) as a whole: `Linear`, `Log1p` and `Log` below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from training.losses.kernels import log1p_sum_exp, log_sum_exp, mean
from training.pairs import Pairs

Elementwise = Callable[[Tensor], Tensor]


class Side(Protocol):
    """s: `[A, X]`.  weights: `[A, X]` >= 0.  Returns σ(Σ_x w ρ(s)) `[A]`, 0 without weight."""

    def __call__(self, s: Tensor, weights: Tensor) -> Tensor:  # noqa: D102  the class says it
        ...


@dataclass(frozen=True)
class Linear:
    """σ(x) = x, ρ = `rho`."""

    rho: Elementwise

    def __call__(self, s: Tensor, weights: Tensor) -> Tensor:
        """Σ w ρ(s), `[A]`."""
        rows: Tensor = (weights * self.rho(s)).sum(dim=-1)
        return rows


@dataclass(frozen=True)
class Log1p:
    """σ(x) = log(1 + x) / `divisor`, ρ(s) = e^`exponent`(s)."""

    exponent: Elementwise
    divisor: float

    def __call__(self, s: Tensor, weights: Tensor) -> Tensor:
        """log(1 + Σ w ρ(s)) / divisor, `[A]`."""
        return log1p_sum_exp(self.exponent(s), weights) / self.divisor


@dataclass(frozen=True)
class Log:
    """σ(x) = log x, ρ(s) = e^`exponent`(s)."""

    exponent: Elementwise

    def __call__(self, s: Tensor, weights: Tensor) -> Tensor:
        """log(Σ w ρ(s)), `[A]`; 0, not -∞, for a row without weight."""
        return log_sum_exp(self.exponent(s), weights)


@dataclass(frozen=True)
class Additive:
    """pull: the positive side, σ⁺ and ρ⁺.  push: the negative side, σ⁻ and ρ⁻."""

    takes_soft_labels: ClassVar[bool] = True
    pull: Side
    push: Side

    def rows(self, s: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Return both sides of each anchor, `[A]` and `[A]`, not yet added nor averaged."""
        return self.pull(s, pairs.pos.to(s.dtype)), self.push(s, pairs.neg.to(s.dtype))

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Mean of ℓ(a) over all anchors; one without a used pair contributes 0."""
        pull, push = self.rows(s, pairs)
        return mean(pull + push)
