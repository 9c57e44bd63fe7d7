"""Pair losses: `(S [A, X], Pairs) -> scalar`.  Who embedded the columns is not their business.

Each is a mean over all anchors of what the paper sums over an anchor's pairs, unless it says
otherwise; an anchor without a used pair contributes 0.  The columns' order never matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from training.losses.additive import Additive, Linear, Log1p
from training.losses.kernels import distance, masked_row_mean, mean
from training.pairs import Pairs


class PairLoss(Protocol):
    """s: `[A, X]` cosine in [-1, 1], at least float32.  pairs: `[A, X]`.  Returns a scalar.

    takes_soft_labels: whether y may lie strictly between 0 and 1, as mixing makes it.
    """

    takes_soft_labels: ClassVar[bool]

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:  # noqa: D102  the class says it
        ...


@dataclass(frozen=True)
class Contrastive:
    """Positives pull by 1 - s, negatives push by [s - m]₊: the papers' cosine form.

    margin_cosine: m, a cosine; a negative below it costs nothing.  Budnik and Avrithis (AML),
    CVPR 2021, and Metrix write the positive term as -s; 1 - s has the same gradient and is 0 when
    perfect.  With `self_pair = "positive"` it is AML's Contr⁺: exactly this loss plus `Regression`.
    """

    takes_soft_labels: ClassVar[bool] = True
    margin_cosine: float

    @property
    def form(self) -> Additive:
        """Its σ and ρ."""
        return Additive(
            pull=Linear(lambda s: 1 - s), push=Linear(lambda s: (s - self.margin_cosine).relu())
        )

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar >= 0."""
        return self.form(s, pairs)


@dataclass(frozen=True)
class ContrastiveDistance:
    """½ y D² + ½ (1 - y) [m - D]₊², D the Euclidean distance: what AML's released code computes.

    margin_distance: m, a distance of unit rows; a negative farther than it costs nothing.  ½D² is
    1 - s, so the positives are those of `Contrastive`; the negatives are not.  A margin of 0.7
    is reached at the cosine 1 - m²/2 = 0.755.  The released code adds 1e-6 to every coordinate
    before D and sums over a batch's tuples where this is their mean.
    """

    takes_soft_labels: ClassVar[bool] = True
    margin_distance: float

    @property
    def form(self) -> Additive:
        """Its σ and ρ."""
        return Additive(
            pull=Linear(lambda s: 1 - s),
            push=Linear(lambda s: (self.margin_distance - distance(s)).relu().square() / 2),
        )

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar >= 0."""
        return self.form(s, pairs)


@dataclass(frozen=True)
class ContrastiveNonZero:
    """Mean D of the positives plus mean [m - D]₊ of the negatives, each over its non-zero terms.

    margin_distance: m, a distance of unit rows.  The contrastive loss of Metrix's released code
    (pytorch-metric-learning's, m = 0.5): distances are not squared, and a mean over the batch's
    pairs that still cost something, not over anchors, so that few hard pairs weigh as much as many.
    With soft labels the means are weighted by y and 1 - y: our extension.  Not additive.
    """

    takes_soft_labels: ClassVar[bool] = True
    margin_distance: float

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar >= 0."""
        d = distance(s)
        violation = (self.margin_distance - d).relu()
        pull = masked_row_mean(d.flatten(), (pairs.pos * (d > 0)).to(s.dtype).flatten())
        push = masked_row_mean(
            violation.flatten(), (pairs.neg * (violation > 0)).to(s.dtype).flatten()
        )
        return pull + push


@dataclass(frozen=True)
class Triplet:
    """Σ over an anchor's positives p and negatives n of [s(a, n) - s(a, p) + m]₊.

    margin_cosine: m, a gap between two cosines.  AML's cosine form.  Not additive: Metrix does not
    define it for soft labels, and neither do we.
    """

    takes_soft_labels: ClassVar[bool] = False
    margin_cosine: float

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar >= 0.  Raises `InvalidConfiguration` for soft labels."""
        refuse_soft_labels(pairs, loss="triplet")
        anchor, positive = (pairs.pos > 0).nonzero(as_tuple=True)
        # [P, X] for the P positive pairs, not [A, X, X]: positives are few.
        violation = (s[anchor] - s[anchor, positive].unsqueeze(-1) + self.margin_cosine).relu()
        total: Tensor = (violation * pairs.neg[anchor].to(s.dtype)).sum() / max(len(s), 1)
        return total


@dataclass(frozen=True)
class TripletSquared:
    """Σ over positives p and negatives n of [‖a - p‖² - ‖a - n‖² + m]₊: the released form.

    margin_squared_distance: m, a gap between two squared distances.  A squared distance of unit
    rows is 2 - 2s, so this is twice `Triplet` with half the margin.  AML's released code passes it
    the contrastive loss's 0.7 unless told otherwise, and sums over a batch's tuples.
    """

    takes_soft_labels: ClassVar[bool] = False
    margin_squared_distance: float

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar >= 0.  Raises `InvalidConfiguration` for soft labels."""
        return 2 * Triplet(margin_cosine=self.margin_squared_distance / 2)(s, pairs)


@dataclass(frozen=True)
class MultiSimilarity:
    """(1/α) log(1 + Σ_p e^(-α(s - m))) + (1/β) log(1 + Σ_n e^(β(s - m))).

    alpha, beta: sharpness over positives and negatives.  base: m, a cosine.  Wang et al.,
    CVPR 2019; their mining of pairs is a mask here (`training.mining`).  AML: 2, 40, 0.5.
    Metrix: 17.97, 75.66, 0.77.
    """

    takes_soft_labels: ClassVar[bool] = True
    alpha: float
    beta: float
    base: float

    @property
    def form(self) -> Additive:
        """Its σ and ρ."""
        return Additive(
            pull=Log1p(lambda s: -self.alpha * (s - self.base), divisor=self.alpha),
            push=Log1p(lambda s: self.beta * (s - self.base), divisor=self.beta),
        )

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar >= 0."""
        return self.form(s, pairs)


@dataclass(frozen=True)
class Regression:
    """Mean over anchors of 1 - s over their positives: ‖a - x‖² / 2 of unit rows.

    With `self_pair = "only"` it is AML's regression: each anchor against its own teacher row,
    `-s(a, a)` there, shifted by 1 here so that 0 is perfect.  Negatives do not enter.
    """

    takes_soft_labels: ClassVar[bool] = True

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar in [0, 2]."""
        return mean(masked_row_mean(1 - s, pairs.pos.to(s.dtype)))


@dataclass(frozen=True)
class RamlAbsolute:
    """Mean over anchors of (1 - s)² over their positives; the absolute term of RAML.

    With `self_pair = "only"`: Suma and Tolias, WACV 2023, over the augmentations of each image;
    the released code adds 1e-6 inside the square and sums over images where this is their mean.
    """

    takes_soft_labels: ClassVar[bool] = True

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        """Returns a scalar in [0, 4]."""
        return mean(masked_row_mean((1 - s).square(), pairs.pos.to(s.dtype)))


def refuse_soft_labels(pairs: Pairs, *, loss: str) -> None:
    """Raise `InvalidConfiguration` if a used pair is neither wholly positive nor wholly negative.

    loss: its name in a configuration.
    """
    soft = pairs.y[pairs.mask & (pairs.y > 0) & (pairs.y < 1)]
    if soft.numel():
        raise InvalidConfiguration(
            f"{loss!r} takes labels 0 and 1 only, found {float(soft[0]):.3g}: leave out the mixing,"
            " or take an additive loss such as 'multi-similarity' or 'contrastive'"
        )
