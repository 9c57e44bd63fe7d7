"""Negatives: the hardest by brute force, at most one of a class, never the anchor's own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from training.data.mined_tuples import hardest_negatives, random_negatives


def _rows(random: np.random.Generator, count: int) -> Vectors:
    rows = random.standard_normal((count, 6))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _by_brute_force(
    anchor: NDArray[np.float64],
    pool: NDArray[np.float64],
    own: int,
    labels: NDArray[np.int64],
    count: int,
) -> list[int]:
    """The best of each other class, then the best of those."""
    s = [float(anchor @ x) for x in pool]
    best = {}
    for place in range(len(pool)):
        label = int(labels[place])
        if label != own and (label not in best or s[place] > s[best[label]]):
            best[label] = place
    return sorted(best.values(), key=lambda place: -s[place])[:count]


@pytest.mark.parametrize("seed", range(5))
def test_the_hardest_negatives_are_those_of_brute_force(seed: int) -> None:
    random = np.random.default_rng(seed)
    anchors, pool = _rows(random, 30), _rows(random, 400)
    anchor_labels, pool_labels = random.integers(0, 20, 30), random.integers(0, 20, 400)
    found = hardest_negatives(
        anchors, pool, anchor_labels=anchor_labels, pool_labels=pool_labels, count=5
    )
    assert found.shape == (30, 5)
    assert found.dtype == np.int64
    for row in range(30):
        expected = _by_brute_force(
            anchors[row].astype(np.float64),
            pool.astype(np.float64),
            int(anchor_labels[row]),
            pool_labels,
            5,
        )
        assert found[row].tolist() == expected


def test_an_anchor_among_hundreds_of_its_own_class_is_searched_deeper() -> None:
    """900 photographs of its own class come before the first negative: deeper than one search."""
    random = np.random.default_rng(0)
    pool = _rows(random, 1000)
    anchors = pool[:1]
    order = np.argsort(-(pool @ anchors[0]))
    labels = np.zeros(1000, dtype=np.int64)
    labels[order[900:]] = 1 + np.arange(100) // 50
    found = hardest_negatives(
        anchors, pool, anchor_labels=np.array([0]), pool_labels=labels, count=2
    )
    assert found[0].tolist() == [order[900], order[950]]


def test_a_pool_of_too_few_classes_says_so() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(InvalidConfiguration, match="pool of 40 photographs holds too few classes"):
        hardest_negatives(
            _rows(random, 2),
            _rows(random, 40),
            anchor_labels=np.array([0, 9]),
            pool_labels=np.arange(40) % 3,
            count=3,
        )


def test_rows_that_are_no_numbers_are_not_mined() -> None:
    random = np.random.default_rng(0)
    anchors = _rows(random, 2)
    anchors[1, 3] = np.nan
    with pytest.raises(InvalidConfiguration, match="not finite"):
        hardest_negatives(
            anchors,
            _rows(random, 40),
            anchor_labels=np.zeros(2, dtype=np.int64),
            pool_labels=np.arange(40),
            count=3,
        )


def test_random_negatives_are_of_different_other_classes_and_of_all_photographs() -> None:
    labels = np.arange(60, dtype=np.int64) // 10
    own = np.arange(600, dtype=np.int64) % 6
    found = random_negatives(
        anchor_labels=own, labels=labels, count=5, random=np.random.default_rng(0)
    )
    for row, negatives in enumerate(found):
        assert {own[row], *labels[negatives]} == set(range(6))
    assert set(found.ravel().tolist()) == set(range(60))
    again = random_negatives(
        anchor_labels=own, labels=labels, count=5, random=np.random.default_rng(0)
    )
    np.testing.assert_array_equal(found, again)
