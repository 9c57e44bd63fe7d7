"""Every pair loss against a slow loop, and the properties all of them share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.config import SelfPair
from training.losses.pair import PairLoss, Regression
from training.pairs import Identity, Pairs, pair_up

LOSSES: list[PairLoss] = [Regression()]


def _random(anchors: int = 5, others: int = 7, *, seed: int = 0) -> tuple[Tensor, Pairs]:
    random = torch.Generator().manual_seed(seed)
    s = torch.rand(anchors, others, generator=random, dtype=torch.float64) * 2 - 1
    y = (torch.rand(anchors, others, generator=random) < 0.4).double()
    mask = torch.rand(anchors, others, generator=random) < 0.7
    return s, Pairs(y=y, mask=mask)


def test_regression_is_half_the_squared_distance_to_the_positives() -> None:
    random = torch.Generator().manual_seed(0)
    a, x = (
        torch.nn.functional.normalize(torch.randn(4, 6, generator=random, dtype=torch.float64))
        for _ in range(2)
    )
    pairs = Pairs(y=torch.ones(4, 4, dtype=torch.float64), mask=torch.eye(4, dtype=torch.bool))
    slow = sum(float(((a[i] - x[i]) ** 2).sum()) / 2 for i in range(4)) / 4
    assert float(Regression()(a @ x.T, pairs)) == pytest.approx(slow, rel=1e-12)


def test_regression_against_a_slow_loop_over_soft_pairs() -> None:
    s, pairs = _random()
    random = torch.Generator().manual_seed(1)
    pairs = Pairs(y=torch.rand(5, 7, generator=random, dtype=torch.float64), mask=pairs.mask)
    rows = []
    for i in range(5):
        total = weight = 0.0
        for j in range(7):
            if pairs.mask[i, j]:
                total += float(pairs.y[i, j]) * (1 - float(s[i, j]))
                weight += float(pairs.y[i, j])
        rows.append(total / weight if weight else 0.0)
    assert float(Regression()(s, pairs)) == pytest.approx(sum(rows) / 5, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_of_the_columns_does_not_matter(loss: PairLoss) -> None:
    s, pairs = _random()
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    permuted = Pairs(y=pairs.y[:, order], mask=pairs.mask[:, order])
    torch.testing.assert_close(loss(s[:, order], permuted), loss(s, pairs))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_masked_pair_has_no_gradient(loss: PairLoss) -> None:
    s, pairs = _random()
    s.requires_grad_()
    torch.autograd.backward(loss(s, pairs))
    assert s.grad is not None
    assert torch.all(s.grad[~pairs.mask] == 0)
    assert torch.any(s.grad != 0)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_the_numerical_one(loss: PairLoss) -> None:
    s, pairs = _random()
    assert torch.autograd.gradcheck(lambda x: loss(x, pairs), (s.requires_grad_(),))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_extremes_are_finite_also_where_nothing_is_used(loss: PairLoss, value: float) -> None:
    s = torch.full((3, 4), value, requires_grad=True)
    for mask in (torch.ones(3, 4, dtype=torch.bool), torch.zeros(3, 4, dtype=torch.bool)):
        result = loss(s, Pairs(y=torch.ones(3, 4), mask=mask))
        torch.autograd.backward(result)
        assert torch.isfinite(result)
        assert s.grad is not None
        assert torch.isfinite(s.grad).all()


@pytest.mark.parametrize(
    ("self_pair", "mask"),
    [
        ("only", [[True, False, False], [False, True, False]]),
        ("ignore", [[False, True, True], [True, False, True]]),
        ("positive", [[True, True, True], [True, True, True]]),
    ],
)
def test_the_self_pair_sets_the_diagonal(self_pair: SelfPair, mask: list[list[bool]]) -> None:
    anchors = Identity(ids=torch.tensor([10, 11]), labels=torch.tensor([1, 2]))
    others = Identity(ids=torch.tensor([10, 11, 12]), labels=torch.tensor([1, 2, 1]))
    pairs = pair_up(anchors, others, self_pair=self_pair)
    assert pairs.mask.tolist() == mask
    assert pairs.y.tolist() == [[1, 0, 1], [0, 1, 0]]
