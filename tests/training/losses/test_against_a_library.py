"""Where pytorch-metric-learning has the same definition, it gives the same number and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning import losses
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.reducers import SumReducer
from torch import Tensor, nn

from tests.training.losses.cases import embeddings
from training.losses.pair import (
    Contrastive,
    ContrastiveNonZero,
    MultiSimilarity,
    PairLoss,
    Triplet,
    TripletSquared,
)
from training.losses.proxy import ArcFace, ProxyAnchor, ProxyNca
from training.pairs import Identity, Pairs, pair_up

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])
"""Of the batch; 3 is alone, and class 4 is in no batch."""
CLASSES, DIM = 5, 6
Library = Callable[[Tensor, Tensor], Tensor]


def summed(loss: type[nn.Module], **parameters: object) -> Library:
    """The library's sum over pairs, divided by the anchors as ours is."""
    theirs = loss(reducer=SumReducer(), **parameters)
    return lambda x, labels: theirs(x, labels) / len(x)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            Contrastive(margin_cosine=0.2),
            summed(
                losses.ContrastiveLoss, pos_margin=1, neg_margin=0.2, distance=CosineSimilarity()
            ),
        ),
        (
            ContrastiveNonZero(margin_distance=1.2),
            losses.ContrastiveLoss(pos_margin=0, neg_margin=1.2),
        ),
        (
            Triplet(margin_cosine=0.1),
            summed(losses.TripletMarginLoss, margin=0.1, distance=CosineSimilarity()),
        ),
        (
            TripletSquared(margin_squared_distance=0.7),
            summed(losses.TripletMarginLoss, margin=0.7, distance=LpDistance(power=2)),
        ),
        (
            MultiSimilarity(alpha=2, beta=40, base=0.5),
            losses.MultiSimilarityLoss(alpha=2, beta=40, base=0.5),
        ),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_loss_between_examples(ours: PairLoss, theirs: Library) -> None:
    x = embeddings(8, DIM, seed=1)
    who = Identity(ids=torch.arange(8), labels=LABELS)
    pairs = pair_up(who, who, self_pair="ignore")
    _agree(x, lambda x: ours(x @ x.T, pairs), lambda x: theirs(x, LABELS))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            ArcFace(scale=30, margin_radians=0.3),
            losses.ArcFaceLoss(CLASSES, DIM, margin=math.degrees(0.3), scale=30),
        ),
        (
            ProxyAnchor(alpha=32, margin_cosine=0.1),
            losses.ProxyAnchorLoss(CLASSES, DIM, margin=0.1, alpha=32),
        ),
        (ProxyNca(temperature=1 / 9), losses.ProxyNCALoss(CLASSES, DIM, softmax_scale=9)),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_loss_against_proxies(ours: PairLoss, theirs: nn.Module) -> None:
    x, proxies = embeddings(8, DIM, seed=2), embeddings(CLASSES, DIM, seed=3)
    for _, weights in theirs.named_parameters():  # ArcFace keeps them as columns.
        weights.data = proxies.T if weights.shape == (DIM, CLASSES) else proxies
    y = nn.functional.one_hot(LABELS, CLASSES).double()
    pairs = Pairs(y=y, mask=torch.ones_like(y, dtype=torch.bool))
    _agree(x, lambda x: ours(x @ proxies.T, pairs), lambda x: theirs(x, LABELS))


def _agree(x: Tensor, ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor]) -> None:
    """In value, and in the gradient along the sphere: across it, normalising makes a difference."""
    found, gradient = _along_the_sphere(x, ours)
    expected, their_gradient = _along_the_sphere(x, theirs)
    assert expected > 0
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-8, atol=1e-9)


def _along_the_sphere(x: Tensor, loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    value = loss(nn.functional.normalize(x, dim=-1))
    torch.autograd.backward(value)
    assert x.grad is not None
    return value.detach(), x.grad
