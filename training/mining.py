"""In-batch mining: which of the pairs a loss sees.  Mining is a smaller mask; y is never touched.

s `[A, X]` is the cosine of the student's anchors with the columns, so the pairs are hard where they
are compared: within the student's space, or of the student against the teacher (asymmetric).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from training.pairs import Pairs


class Mining(Protocol):
    """s: `[A, X]` cosine, without gradient.  pairs: `[A, X]`, y of 0 and 1.  Returns fewer."""

    def __call__(self, s: Tensor, pairs: Pairs) -> Pairs:  # noqa: D102  the class says it
        ...


def all_pairs(s: Tensor, pairs: Pairs) -> Pairs:
    """No mining."""
    return pairs


@dataclass(frozen=True)
class MultiSimilarityMining:
    """Pairs that are not yet in order, within epsilon (a difference of cosines, >= 0).

    A negative is kept when s(a, n) > min over positives s(a, p) - epsilon; a positive when
    s(a, p) < max over negatives s(a, n) + epsilon.  So an anchor without a used positive, or
    without a used negative, keeps nothing.  Wang et al., CVPR 2019, "multi-similarity mining".
    """

    epsilon_cosine: float

    def __call__(self, s: Tensor, pairs: Pairs) -> Pairs:
        """Fewer positives and fewer negatives."""
        positives, negatives = pairs.pos > 0, pairs.neg > 0
        hardest_positive = s.where(positives, torch.inf).amin(dim=1, keepdim=True)
        hardest_negative = s.where(negatives, -torch.inf).amax(dim=1, keepdim=True)
        kept_negatives = negatives & (s > hardest_positive - self.epsilon_cosine)
        kept_positives = positives & (s < hardest_negative + self.epsilon_cosine)
        return pairs.within(kept_negatives | kept_positives)


@dataclass(frozen=True)
class HardestNegatives:
    """All positives, and of each anchor the `per_anchor` negatives most similar to it."""

    per_anchor: int

    def __call__(self, s: Tensor, pairs: Pairs) -> Pairs:
        """Fewer negatives; an anchor with no more than that keeps all."""
        negatives = pairs.neg > 0
        count = min(self.per_anchor, s.shape[1])
        hardest = s.where(negatives, -torch.inf).topk(count, dim=1).indices
        kept = torch.zeros_like(negatives).scatter(1, hardest, value=True)
        return pairs.within((pairs.pos > 0) | (negatives & kept))


@dataclass(frozen=True)
class SemiHardNegatives:
    """All positives, and the negatives less similar than a positive by less than the margin.

    Schroff et al., CVPR 2015, section 3.2: s(a, n) < s(a, p) < s(a, n) + margin (a difference of
    cosines; the paper's is of squared distances, twice that).  There it selects triplets; a mask
    selects pairs, so a negative stays when one of the anchor's positives makes it semi-hard.
    """

    margin_cosine: float

    def __call__(self, s: Tensor, pairs: Pairs) -> Pairs:
        """Fewer negatives."""
        positives = pairs.pos > 0
        ranked = s.where(positives, torch.inf).sort(dim=1).values
        beyond = torch.nn.functional.pad(ranked, (0, 1), value=torch.inf)
        # The least similar positive that is still more similar than the negative.
        nearest = beyond.gather(1, torch.searchsorted(ranked, s.contiguous(), right=True))
        semi_hard = nearest < s + self.margin_cosine
        return pairs.within(positives | ((pairs.neg > 0) & semi_hard))
