"""Whitenings against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lorgnette.errors import InvalidConfiguration
from tests.training.networks import network
from training.models.embedder import Embedder
from training.models.whitening import learn_supervised_whitening, learn_whitening, whitened


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


def _pairs(count: int, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, and which of them match: near each other, but not alike in every direction."""
    random = np.random.default_rng(1)
    things = random.standard_normal((count, channels)) @ random.standard_normal((channels,) * 2)
    shake = random.standard_normal((channels, channels)) * 0.3
    seen = [things + random.standard_normal((count, channels)) @ shake for _ in range(2)]
    distractors = random.standard_normal((7, channels))
    numbers = np.arange(count)
    return np.concatenate([*seen, distractors]) + 3, numbers, numbers + count


def test_supervised_whitening_is_its_definition_step_by_step() -> None:
    rows, queries, positives = _pairs(40, 6)
    found = learn_supervised_whitening(rows, queries=queries, positives=positives, dim=4)
    mean = sum(rows[q] for q in queries) / 40
    within = np.zeros((6, 6))
    for q, p in zip(queries, positives, strict=True):
        within += np.outer(rows[q] - rows[p], rows[q] - rows[p]) / 40
    chol = np.linalg.cholesky(within)
    moment = np.zeros((6, 6))
    for row in rows:
        y = np.linalg.solve(chol, row - mean)
        moment += np.outer(y, y)
    values, vectors = np.linalg.eig(moment)  # a general solver: order and signs are its own
    order = np.argsort(-values.real)[:4]
    wanted = np.linalg.solve(chol.T, vectors[:, order].real).T
    wanted *= np.sign((wanted * found.projection).sum(axis=1))[:, None]
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.projection, wanted, rtol=1e-8, atol=1e-10)


def test_supervised_whitening_leaves_unit_differences_and_a_diagonal_spread() -> None:
    rows, queries, positives = _pairs(60, 5)
    whitening = learn_supervised_whitening(rows, queries=queries, positives=positives, dim=5)
    y = whitening(rows)
    within = y[queries] - y[positives]
    np.testing.assert_allclose(within.T @ within / 60, np.eye(5), atol=1e-10)
    spread = y.T @ y
    np.testing.assert_allclose(spread, np.diag(np.diag(spread)), atol=1e-8 * spread.max())
    assert np.all(np.diff(np.diag(spread)) < 0)


def test_fewer_dimensions_are_the_first_of_all() -> None:
    rows, queries, positives = _pairs(60, 5)
    whole, part = (
        learn_supervised_whitening(rows, queries=queries, positives=positives, dim=dim)
        for dim in (5, 2)
    )
    np.testing.assert_array_equal(part.projection, whole.projection[:2])


def test_fewer_pairs_than_dimensions_still_give_a_finite_whitening() -> None:
    rows, queries, positives = _pairs(40, 6)
    found = learn_supervised_whitening(rows, queries=queries[:3], positives=positives[:3], dim=6)
    assert np.isfinite(found.projection).all()


def test_supervised_whitening_refuses_a_row_that_is_no_number() -> None:
    rows, queries, positives = _pairs(40, 6)
    rows[3, 2] = np.nan
    with pytest.raises(InvalidConfiguration, match="finite"):
        learn_supervised_whitening(rows, queries=queries, positives=positives, dim=4)


@pytest.mark.parametrize(
    ("queries", "positives", "dim", "reason"),
    [
        ([], [], 4, "matching pairs"),
        ([0, 1], [2], 4, "matching pairs"),
        ([0], [87], 4, "0 to 86"),
        ([-1], [3], 4, "0 to 86"),
        ([0], [1], 7, "dimensions"),
    ],
)
def test_supervised_whitening_refuses_pairs_that_are_not_of_its_rows(
    queries: list[int], positives: list[int], dim: int, reason: str
) -> None:
    rows, _, _ = _pairs(40, 6)
    with pytest.raises(InvalidConfiguration, match=reason):
        learn_supervised_whitening(
            rows,
            queries=np.array(queries, np.int64),
            positives=np.array(positives, np.int64),
            dim=dim,
        )


def test_a_whitened_network_gives_the_whitened_rows_of_the_plain_one() -> None:
    plain = Embedder(network(adapt_dim=12, head=None, dim=12)).eval()
    images = torch.randn(30, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rows = plain(images).numpy()
    pairs = np.arange(15)
    whitening = learn_supervised_whitening(rows, queries=pairs, positives=pairs + 15, dim=5)
    made = whitened(plain, whitening)
    y = whitening(rows)
    with torch.no_grad():
        found = made(images).numpy()
    np.testing.assert_allclose(found, y / np.linalg.norm(y, axis=1, keepdims=True), atol=2e-4)
    assert made.dim == 5
    with pytest.raises(InvalidConfiguration, match="has a head"):
        whitened(made, whitening)


@pytest.mark.parametrize("layer", [nn.Linear(8, 3), nn.Linear(8, 4, bias=False)])
def test_a_whitening_is_not_folded_into_a_layer_it_does_not_fit(layer: nn.Linear) -> None:
    whitening = learn_whitening(_correlated(50, 8), dim=4, shrinkage=0.5)
    with pytest.raises(InvalidConfiguration, match="needs a linear layer"):
        whitening.fold_into(layer)
