from __future__ import annotations

import numpy as np
import pytest

from lorgnette.vectors import Vectors
from service.gallery.lists import centres, nearest


def about(things: int, *, each: int, seed: int = 0, dim: int = 32) -> Vectors:
    """Unit rows close about so many things, one thing after another."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.standard_normal((things, dim)), each, axis=0)
    rows += 0.02 * rng.standard_normal(rows.shape)
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.mark.parametrize(("rows", "count"), [(64, 64), (100, 7), (5_000, 256), (3, 1)])
def test_there_are_as_many_unit_centres_as_were_asked_for(rows: int, count: int) -> None:
    found = centres(about(rows, each=1), count)
    assert (found.shape, found.dtype) == ((count, 32), np.float32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_equal_rows_have_centres_too() -> None:
    found = centres(np.repeat(about(1, each=1), 200, axis=0), 16)
    assert found.shape == (16, 32)
    assert np.isfinite(found).all()


def test_rows_of_a_list_are_of_the_same_thing_though_they_come_in_its_order() -> None:
    things, each = 50, 40
    rows = about(things, each=each)
    own = nearest(rows, centres(rows, 150))
    kinds = np.repeat(np.arange(things), each)
    assert sum(len(set(kinds[own == n])) > 1 for n in set(own.tolist())) <= 2


def test_two_levels_lose_next_to_nothing_of_the_cosine_with_the_centre() -> None:
    faiss = pytest.importorskip("faiss")
    rows = about(300, each=20, seed=1)
    lloyd = faiss.Kmeans(32, 128, niter=10, spherical=True, seed=1)
    lloyd.train(rows)

    def cosine(found: Vectors) -> float:
        return float((rows @ found.T).max(axis=1).mean())

    assert cosine(centres(rows, 128)) > 0.98 * cosine(lloyd.centroids)
