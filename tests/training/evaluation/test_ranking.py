"""Rankings by chunks and among distractors equal one stable sort of everything."""

from __future__ import annotations

import numpy as np
import pytest

from lorgnette.errors import InvalidConfiguration, InvalidVector
from training.evaluation import ranking
from training.evaluation.ranking import nearest, rank_all, score


def _coarse(count: int, *, seed: int) -> np.ndarray:
    """Rows of few distinct values, so that many similarities tie exactly."""
    return np.random.default_rng(seed).integers(-1, 2, (count, 4)).astype(np.float32)


def _sorted(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    s = queries.astype(np.float64) @ gallery.astype(np.float64).T
    return np.array([sorted(range(len(gallery)), key=lambda i: (-row[i], i)) for row in s])


@pytest.mark.parametrize("k", [1, 7, 40, 99])
@pytest.mark.parametrize("size", [1, 6, 100])
def test_the_nearest_by_chunks_are_those_of_one_sort(
    k: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "_ROWS_AT_ONCE", 13)
    monkeypatch.setattr(ranking, "_QUERIES_AT_ONCE", 4)
    queries, gallery = _coarse(9, seed=0), _coarse(40, seed=1)
    chunks = [gallery[i : i + size] for i in range(0, 40, size)]
    found = nearest(queries, chunks, k=k)
    np.testing.assert_array_equal(found.order, _sorted(queries, gallery)[:, :k])
    np.testing.assert_array_equal(found.places[0], np.arange(min(k, 40)))


@pytest.mark.parametrize("k", [1, 5, 39, 40, 60])
def test_leaving_one_out_never_lists_the_query(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_ROWS_AT_ONCE", 13)
    rows = _coarse(40, seed=2)
    found = nearest(rows, [rows[:20], rows[20:]], k=k, own=np.arange(40))
    others = [[i for i in order if i != q] for q, order in enumerate(_sorted(rows, rows))]
    np.testing.assert_array_equal(found.order, np.array(others)[:, :k])


def test_distractors_are_counted_as_if_they_stood_in_the_list() -> None:
    queries, gallery, noise = _coarse(6, seed=3), _coarse(25, seed=4), _coarse(70, seed=5)
    found = rank_all(queries, gallery, distractors=[noise[:30], noise[30:]])
    everything = _sorted(queries, np.concatenate([gallery, noise]))
    for query in range(6):
        places = {item: place for place, item in enumerate(everything[query])}
        np.testing.assert_array_equal(found.order[query], [i for i in everything[query] if i < 25])
        np.testing.assert_array_equal(found.places[query], [places[i] for i in found.order[query]])


def test_a_vector_that_is_not_finite_is_refused() -> None:
    good, bad = _coarse(3, seed=6), _coarse(3, seed=7)
    bad[1, 2] = np.nan
    with pytest.raises(InvalidVector, match="NaN or infinity"):
        rank_all(good, bad)
    with pytest.raises(InvalidVector, match="NaN or infinity"):
        nearest(bad, [good], k=1)
    with pytest.raises(InvalidVector, match="NaN or infinity"):
        score(good, bad, np.ones((3, 3), dtype=bool))


def test_an_empty_gallery_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="gallery is empty"):
        nearest(_coarse(2, seed=8), [], k=3)
