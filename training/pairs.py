"""What is wanted of each (anchor, other) pair: the same, different, or not used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from training.objective_spec import SelfPair


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

    @property
    def T(self) -> Pairs:  # noqa: N802  as of a tensor
        """`[X, A]`: the others as anchors."""
        return Pairs(y=self.y.T, mask=self.mask.T)

    def within(self, used: Tensor) -> Pairs:
        """Those of the pairs that are also in `used`, bool `[A, X]`."""
        return Pairs(y=self.y, mask=self.mask & used)


@dataclass(frozen=True)
class Identity:
    """Who the rows are.  ids: int64 `[N]`, the view.  labels: int64 `[N]`, what it shows."""

    ids: Tensor
    labels: Tensor

    def at(self, rows: Tensor) -> Identity:
        """Who those rows are.  rows: int64 `[A]`."""
        return Identity(ids=self.ids[rows], labels=self.labels[rows])


def same_view(anchors: Identity, others: Identity) -> Tensor:
    """Bool `[A, X]`: the pair of a view with its own row."""
    return anchors.ids[:, None] == others.ids[None, :]


def pair_up(anchors: Identity, others: Identity, *, self_pair: SelfPair) -> Pairs:
    """Pairs `[A, X]`: same label is y = 1; a view's own row is used as `self_pair` says."""
    own = same_view(anchors, others)
    same_label = anchors.labels[:, None] == others.labels[None, :]
    mask = {"ignore": ~own, "positive": torch.ones_like(own), "only": own}[self_pair]
    return Pairs(y=(same_label | own).to(torch.float32), mask=mask)


def require_positives(pairs: Pairs) -> Pairs:
    """The same pairs.  Raises `InvalidConfiguration` when none of them is used, or none positive.

    A loss of no pair is 0 and has no gradient: without this a training would run and learn nothing.
    """
    anchors, others = pairs.mask.shape
    if not pairs.mask.any():
        raise InvalidConfiguration(
            f"a batch uses none of its {anchors} x {others} pairs: the sampler or self_pair leaves "
            "nothing to learn; choose another sampling, or self_pair 'positive'"
        )
    if not (pairs.pos > 0).any():
        raise InvalidConfiguration(
            f"a batch of {anchors} anchors has no positive pair: sample at least two images of "
            "each class (balanced sampling, or tuples), or larger batches"
        )
    return pairs


def require_both(pairs: Pairs) -> Pairs:
    """As `require_positives`; raises also when no used pair is a negative, as of one class."""
    require_positives(pairs)
    if not (pairs.neg > 0).any():
        raise InvalidConfiguration(
            f"a batch of {len(pairs.mask)} anchors has no negative pair: all is of one class; "
            "sample two or more classes a batch, or choose a loss without negatives: regression"
        )
    return pairs
