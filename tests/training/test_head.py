"""The closed-form head against scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch import nn

from training.head import solve_ridge


def test_the_closed_form_is_ridge_regression_with_a_free_bias() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((60, 9)) + 1, random.standard_normal((60, 4)) - 2
    penalty = 1e-2 * (x**2).sum(axis=1).mean()
    oracle = Ridge(alpha=penalty * len(x)).fit(x, y)
    found = solve_ridge(zip(np.split(x, 3), np.split(y, 3), strict=True), ridge=1e-2)
    np.testing.assert_allclose(found.weight, oracle.coef_, rtol=1e-9)
    np.testing.assert_allclose(found.bias, oracle.intercept_, rtol=1e-9)


def test_the_layer_computes_the_map() -> None:
    random = np.random.default_rng(1)
    x, y = random.standard_normal((30, 5)), random.standard_normal((30, 3))
    found = solve_ridge([(x, y)], ridge=1e-3)
    head = nn.Linear(5, 3)
    found.copy_into(head)
    rows = head(torch.from_numpy(x).float()).detach().numpy()
    np.testing.assert_allclose(rows, x @ found.weight.T + found.bias, rtol=1e-4, atol=1e-5)
