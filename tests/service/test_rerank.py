"""Re-ranking against slow loops written from the papers."""

from __future__ import annotations

import numpy as np
import pytest

from service.gallery.rerank import RERANKINGS, query_expansion, super_global
from tests.service.gallery_rows import unit_rows


def clustered(count: int, *, seed: int) -> np.ndarray:
    rows = unit_rows(count, seed=seed) + 0.7 * unit_rows(1, seed=seed + 1)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def pool_of(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A query and its pool, best first."""
    pool, query = clustered(count, seed=seed), unit_rows(1, seed=seed + 7)[0]
    return query, pool[np.argsort(-(pool @ query), kind="stable")]


def slow_query_expansion(query: np.ndarray, pool: np.ndarray) -> list[float]:
    expanded = [float(value) for value in query]
    for row in pool[:10]:
        s = sum(float(a) * float(b) for a, b in zip(query, row, strict=True))
        for d in range(len(expanded)):
            expanded[d] += max(s, 0.0) ** 3 * float(row[d])
    norm = sum(value * value for value in expanded) ** 0.5
    return [sum(float(a) * b / norm for a, b in zip(row, expanded, strict=True)) for row in pool]


def slow_super_global(query: np.ndarray, pool: np.ndarray) -> list[float]:
    rows = [[float(value) for value in row] for row in pool]

    def dot(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    refined = []
    for i, row in enumerate(rows):
        near = sorted((j for j in range(len(rows)) if j != i), key=lambda j: -dot(row, rows[j]))[:9]
        total, weight_sum = list(row), 1.0
        for j in near:
            weight = 0.15 * max(dot(row, rows[j]), 0.0)
            weight_sum += weight
            total = [t + weight * value for t, value in zip(total, rows[j], strict=True)]
        refined.append([t / weight_sum for t in total])
    q = [float(value) for value in query]
    first = [dot(q, row) for row in refined]
    top = sorted(range(len(rows)), key=lambda i: -first[i])[:10]
    new = [max(refined[i][d] for i in top) for d in range(len(q))]
    return [(s + dot(new, row)) / 2 for s, row in zip(first, refined, strict=True)]


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 60])
@pytest.mark.parametrize("seed", [0, 1])
def test_alpha_query_expansion_is_the_papers_loop(count: int, seed: int) -> None:
    query, pool = pool_of(count, seed=seed)
    expected = slow_query_expansion(query, pool)
    np.testing.assert_allclose(query_expansion(query, pool), expected, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 60])
@pytest.mark.parametrize("seed", [0, 1])
def test_super_global_is_the_papers_loop(count: int, seed: int) -> None:
    query, pool = pool_of(count, seed=seed)
    np.testing.assert_allclose(super_global(query, pool), slow_super_global(query, pool), atol=1e-6)


@pytest.mark.parametrize("name", sorted(RERANKINGS))
def test_equal_or_opposite_rows_give_finite_scores(name: str) -> None:
    query = unit_rows(1)[0]
    for pool in (query[None].repeat(30, axis=0), -query[None].repeat(30, axis=0)):
        assert np.isfinite(RERANKINGS[name](query, pool)).all()  # type: ignore[index]


@pytest.mark.parametrize("name", sorted(RERANKINGS))
def test_a_query_beside_its_class_finds_it_through_its_neighbours(name: str) -> None:
    """A student's error: near one of the class by luck, nearer to a stranger than to the rest."""
    rng = np.random.default_rng(0)
    centre, away = unit_rows(2, dim=64, seed=5)
    family = centre + 0.25 * unit_rows(12, dim=64, seed=6)
    strangers = rng.standard_normal((60, 64)) + 1.2 * away
    pool = np.concatenate([family, strangers]).astype(np.float32)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    query = 0.55 * centre + 0.45 * away + 0.25 * unit_rows(1, dim=64, seed=8)[0]
    query = (query / np.linalg.norm(query)).astype(np.float32)
    order = np.argsort(-(pool @ query), kind="stable")
    before = (order[:12] < 12).mean()
    again = order[np.argsort(-RERANKINGS[name](query, pool[order]), kind="stable")]  # type: ignore[index]
    assert (again[:12] < 12).mean() >= before
