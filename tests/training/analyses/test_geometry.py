"""Alignment, uniformity and utilisation against slow loops and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from training.analyses import geometry
from training.analyses.geometry import alignment, cross_alignment, uniformity, utilisation

LABELS = np.array([0, 2, 0, 3, 2, 0, 2, 5, 3, 0], dtype=np.int64)


def _units(count: int, dim: int = 6, *, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _distance(a: NDArray[np.float32], x: NDArray[np.float32]) -> float:
    return sum((float(p) - float(q)) ** 2 for p, q in zip(a, x, strict=True))


def test_alignment_is_the_mean_over_all_pairs_of_a_class() -> None:
    rows = _units(10)
    slow = [
        _distance(rows[i], rows[j])
        for i in range(10)
        for j in range(10)
        if i != j and LABELS[i] == LABELS[j]
    ]
    assert alignment(rows, LABELS) == pytest.approx(sum(slow) / len(slow), rel=1e-12)


def test_alignment_across_is_the_mean_over_all_pairs_of_a_class() -> None:
    a, x = _units(10), _units(7, seed=1)
    labels = np.array([0, 0, 1, 2, 3, 9, 5], dtype=np.int64)
    slow = [_distance(a[i], x[j]) for i in range(10) for j in range(7) if LABELS[i] == labels[j]]
    assert cross_alignment(a, LABELS, x, labels) == pytest.approx(sum(slow) / len(slow), rel=1e-12)


def test_classes_that_are_points_are_aligned() -> None:
    points = _units(3)[[0, 0, 1, 1, 2]]
    assert alignment(points, np.array([0, 0, 1, 1, 2])) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("rows_at_once", [3, 512])
def test_uniformity_is_the_log_of_the_mean_potential(
    rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geometry, "_ROWS_AT_ONCE", rows_at_once)
    rows = _units(10)
    slow = [
        math.exp(-2 * _distance(rows[i], rows[j])) for i in range(10) for j in range(10) if i != j
    ]
    assert uniformity(rows) == pytest.approx(math.log(sum(slow) / 90), rel=1e-12)


def test_uniformity_by_hand() -> None:
    opposite = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    assert uniformity(opposite) == pytest.approx(-8)
    assert uniformity(opposite[[0, 0]]) == pytest.approx(0)


@pytest.mark.parametrize(("rows_at_once", "others_at_once"), [(2, 3), (512, 16_384)])
def test_utilisation_is_the_mean_distance_to_the_nearest(
    rows_at_once: int, others_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geometry, "_ROWS_AT_ONCE", rows_at_once)
    monkeypatch.setattr(geometry, "_OTHERS_AT_ONCE", others_at_once)
    queries, held = _units(5), _units(8, seed=1)
    slow = [min(_distance(q, x) for x in held) for q in queries]
    assert utilisation(queries, held) == pytest.approx(sum(slow) / 5, rel=1e-12)
    more = np.concatenate([held, queries[:2]])
    slow = [min(_distance(q, x) for x in more) for q in queries]
    assert utilisation(queries, more) == pytest.approx(sum(slow) / 5, rel=1e-12)


def test_what_has_no_pair_is_refused() -> None:
    rows, apart = _units(3), np.array([0, 1, 2])
    with pytest.raises(InvalidConfiguration, match="no class has two photographs"):
        alignment(rows, apart)
    with pytest.raises(InvalidConfiguration, match="no query shares its class"):
        cross_alignment(rows, apart, rows, apart + 3)
    with pytest.raises(InvalidConfiguration, match="1 photographs are no pair"):
        uniformity(rows[:1])
    with pytest.raises(InvalidConfiguration, match="there are no queries"):
        utilisation(rows[:0], rows)
