"""Generalised-mean pooling."""

from __future__ import annotations

import pytest
import torch

from training.models.pooling import EPS, GeM


@pytest.mark.parametrize("p", [1.0, 3.0, 4.6])
def test_gem_is_the_power_mean_of_each_channel(p: float) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    oracle = torch.zeros(2, 3, dtype=torch.float64)
    for n in range(2):
        for c in range(3):
            total = 0.0
            for value in features[n, c].flatten().tolist():
                total += max(value, EPS) ** p
            oracle[n, c] = (total / 20) ** (1 / p)
    torch.testing.assert_close(GeM(p).double()(features), oracle, rtol=1e-6, atol=0)


def test_gem_learns_its_power() -> None:
    torch.manual_seed(0)
    pool = GeM(3.0).double()
    features = torch.rand(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, (features,))
    pool(features).sum().backward()
    assert pool.p.grad is not None
    assert float(pool.p.grad.abs()) > 0
