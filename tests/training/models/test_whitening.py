"""Whitenings against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lorgnette.errors import InvalidConfiguration
from training.models.whitening import learn_whitening


def _correlated(count: int, channels: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.standard_normal((count, channels)) @ random.standard_normal((channels, channels))


def test_whitened_learning_rows_have_unit_covariance_and_zero_mean() -> None:
    rows = _correlated(200, 10) + 5
    whitened = learn_whitening(rows, dim=6, shrinkage=0.0)(rows)
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.cov(whitened, rowvar=False, bias=True), np.eye(6), atol=1e-10)


def test_shrinkage_amplifies_weak_directions_less() -> None:
    rows = _correlated(200, 10)
    whitened = learn_whitening(rows, dim=6, shrinkage=1.0)(rows)
    covariance = np.cov(whitened, rowvar=False, bias=True)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(rows, rowvar=False, bias=True)))[::-1][:6]
    expected = eigenvalues / (eigenvalues + eigenvalues.mean())
    np.testing.assert_allclose(covariance, np.diag(expected), atol=1e-10)


def test_whitening_folded_into_a_layer_is_the_same_map() -> None:
    rows = _correlated(50, 8)
    whitening = learn_whitening(rows, dim=4, shrinkage=0.5)
    head = nn.Linear(8, 4)
    whitening.fold_into(head)
    folded = head(torch.from_numpy(rows).float()).detach().numpy()
    np.testing.assert_allclose(folded, whitening(rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("count", "dim"), [(5, 5), (20, 9), (20, 0)])
def test_whitening_refuses_rows_that_cannot_give_the_dimensions(count: int, dim: int) -> None:
    with pytest.raises(InvalidConfiguration, match="whitening to"):
        learn_whitening(_correlated(count, 8), dim=dim, shrinkage=0.0)


def test_whitening_refuses_rows_of_lower_rank() -> None:
    flat = np.repeat(_correlated(3, 8), 10, axis=0)
    with pytest.raises(InvalidConfiguration, match="span fewer"):
        learn_whitening(flat, dim=6, shrinkage=0.0)
