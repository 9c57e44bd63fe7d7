"""Precision over recall against a slow loop, and the scores against the evaluation's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lorgnette.errors import InvalidConfiguration
from tests.training.analyses.subjects import subject
from training.analyses.subject import Subject
from training.evaluation.ranking import score
from training.pictures import retrieval
from training.pictures.retrieval import (
    LEVELS,
    answerable,
    interpolated_precision,
    pairings,
    ranked,
    retrieve,
)


def _split() -> Subject:
    """Queries of four classes; the gallery lacks the last class."""
    whole = subject(classes=4, per_class=6, spread=0.9)
    rows = np.arange(24)
    asking = rows[rows % 6 < 2]
    held = rows[(rows % 6 >= 2) & (whole.labels < 3)]
    return replace(whole, queries=asking, gallery=held, is_leave_one_out=False)


def test_interpolated_precision_worked_by_hand() -> None:
    """Right, wrong, right: 1 up to recall 1/2, then 2/3; the last row: 1/3 everywhere."""
    found = interpolated_precision(np.array([[1, 0, 1], [0, 0, 1]], dtype=bool))
    np.testing.assert_allclose(found[0], np.where(LEVELS <= 0.5, 1, 2 / 3))
    np.testing.assert_allclose(found[1], np.full(101, 1 / 3))


def test_interpolated_precision_against_a_slow_loop() -> None:
    is_relevant = np.random.default_rng(0).random((40, 60)) < 0.2
    is_relevant[:, -1] = True
    found = interpolated_precision(is_relevant)
    for row, curve in zip(is_relevant, found, strict=True):
        hits, points = 0, []
        for rank, right in enumerate(row, start=1):
            hits += int(right)
            points.append((hits / row.sum(), hits / rank))
        slow = [max(p for r, p in points if r >= level - 1e-12) for level in LEVELS]
        np.testing.assert_allclose(curve, slow, rtol=1e-12)


@pytest.mark.parametrize("queries_at_once", [3, 256])
@pytest.mark.parametrize("seen", [subject(spread=0.9), _split()])
def test_the_scores_are_those_of_the_evaluation(
    seen: Subject, queries_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "_QUERIES_AT_ONCE", queries_at_once)
    matched = answerable(seen)
    for asks, holds in pairings(seen).values():
        expected = score(
            asks[seen.queries[matched]],
            holds[seen.gallery],
            seen.relevant(matched),
            own=seen.own(matched),
        )
        found = retrieve(seen, asks, holds)
        assert found.mean_ap == pytest.approx(expected.mean_ap, rel=1e-12)
        assert found.precision_at_1 == expected.precision_at_1
        assert 0.2 < found.mean_ap < 1
        assert len(found.average_precisions) == expected.queries
        assert np.all(np.diff(found.precision) <= 1e-12)


def test_queries_without_an_answer_are_left_out() -> None:
    assert answerable(_split()).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(InvalidConfiguration, match="no query has a photograph of its class"):
        answerable(subject(classes=5, per_class=1))


def test_the_best_come_first_and_nobody_finds_itself() -> None:
    seen = subject(classes=3, per_class=4)
    (found,) = ranked(seen, seen.student, seen.teacher, k=5)
    s = seen.student.astype(np.float64) @ seen.teacher.T.astype(np.float64)
    for query in range(12):
        by_hand = [x for x in np.argsort(-s[query]) if x != query][:5]
        assert found.order[query].tolist() == by_hand
        labels = seen.labels[by_hand] == seen.labels[query]
        assert found.is_relevant[query].tolist() == labels.tolist()
