"""R@k, MAP@R and mAP@k by hand and against loops."""

from __future__ import annotations

import numpy as np
import pytest

from lorgnette.errors import InvalidConfiguration
from training.evaluation.neighbours import (
    Hits,
    hits_of_labels,
    hits_of_lists,
    map_at_r,
    mean_ap_at,
    recall_at,
)


def _order(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.uint32)


def _labels(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def test_recall_worked_by_hand() -> None:
    hits = hits_of_labels(
        _order([0, 2, 1], [1, 0, 2]), _labels(7, 8), _labels(9, 8, 7), is_leave_one_out=False
    )
    assert [recall_at(hits, k) for k in (1, 2, 3)] == [0.5, 1.0, 1.0]


def test_a_query_without_match_is_counted_not_scored() -> None:
    hits = hits_of_labels(
        _order([0, 1], [0, 1]), _labels(7, 5), _labels(7, 8), is_leave_one_out=False
    )
    assert hits.without_match == 1
    assert recall_at(hits, 1) == 1.0
    alone = hits_of_labels(
        _order([1, 2], [0, 2], [0, 1]), _labels(3, 3, 4), _labels(3, 3, 4), is_leave_one_out=True
    )
    assert alone.without_match == 1
    np.testing.assert_array_equal(alone.relevant, [1, 1])


def test_a_row_beyond_the_gallery_is_right_for_nobody() -> None:
    hits = hits_of_labels(
        _order([3, 2, 1], [5, 0, 1]), _labels(8, 7), _labels(7, 7, 8), is_leave_one_out=False
    )
    np.testing.assert_array_equal(hits.is_relevant, [[False, True, False], [False, True, True]])


def test_map_at_r_worked_by_hand() -> None:
    # R = 3: hits at ranks 1 and 3 count, the one at 4 does not: (1 + 2/3) / 3.
    hits = Hits(np.array([[1, 0, 1, 1]], dtype=bool), np.array([3]), 0)
    assert map_at_r(hits) == pytest.approx((1 + 2 / 3) / 3)


def test_map_at_r_equals_pytorch_metric_learning() -> None:
    calculator = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 60)
    rows = random.standard_normal((60, 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    s = rows.astype(np.float64) @ rows.astype(np.float64).T
    np.fill_diagonal(s, -np.inf)
    order = np.argsort(-s, axis=1)[:, :59].astype(np.uint32)
    hits = hits_of_labels(order, labels, labels, is_leave_one_out=True)
    import torch

    found = calculator.AccuracyCalculator(
        include=("mean_average_precision_at_r", "precision_at_1"), k="max_bin_count"
    ).get_accuracy(torch.from_numpy(rows), torch.from_numpy(labels))
    assert map_at_r(hits) == pytest.approx(found["mean_average_precision_at_r"], abs=1e-6)
    assert recall_at(hits, 1) == pytest.approx(found["precision_at_1"], abs=1e-6)


def _slow_map_at_100(predicted: list[list[int]], answers: list[set[int]]) -> float:
    total = 0.0
    for row, answer in zip(predicted, answers, strict=True):
        right, sum_of_precision = 0, 0.0
        for rank, item in enumerate(row[:100], start=1):
            if item in answer:
                right += 1
                sum_of_precision += right / rank
        total += sum_of_precision / min(len(answer), 100)
    return total / len(predicted)


def test_map_at_100_equals_a_slow_loop() -> None:
    random = np.random.default_rng(1)
    order = np.array([random.permutation(400) for _ in range(20)])
    answers = [random.choice(400, size=random.integers(1, 250), replace=False) for _ in range(20)]
    hits = hits_of_lists(order[:, :130].astype(np.uint32), answers)
    slow = _slow_map_at_100(order.tolist(), [set(map(int, answer)) for answer in answers])
    assert mean_ap_at(hits, 100) == pytest.approx(slow, abs=1e-12)


def test_nothing_to_find_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="none of the 1 queries has a match"):
        hits_of_labels(_order([0]), _labels(1), _labels(2), is_leave_one_out=False)
    with pytest.raises(InvalidConfiguration, match="none of the 1 queries has a match"):
        hits_of_lists(_order([0]), [np.array([], dtype=np.int64)])
