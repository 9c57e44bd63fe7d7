"""The revisited protocol on its real ground truth: by hand, and against loops over ranked lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorgnette.errors import InvalidConfiguration
from tests.training.evaluation.ground_truth import read_truths
from training.evaluation.landmarks import (
    LandmarkScore,
    Marks,
    RevisitedTruth,
    found_places,
    judge_revisited,
    precision_at,
    trapezoid_ap,
)
from training.evaluation.ranking import Ranking

SETS = ("roxford5k", "rparis6k")
NONE = np.array([], dtype=np.int64)


def _rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def _ranking(order: np.ndarray) -> Ranking:
    order = np.atleast_2d(order).astype(np.uint32)
    return Ranking(order, np.tile(np.arange(order.shape[1], dtype=np.int64), (len(order), 1)))


def _slow(
    order: list[int], positives: set[int], junk: set[int]
) -> tuple[float, list[float]] | None:
    """AP and P@{1,5,10} of one query by walking down its list, in Python's own numbers."""
    if not positives:
        return None
    found = rank = 0
    area, previous_recall, previous_precision = 0.0, 0.0, 1.0
    last_rank, found_by_rank = 0, []
    for item in order:
        if item in junk:
            continue
        before = found / rank if rank else 1.0
        rank += 1
        found += item in positives
        found_by_rank.append(found)
        if item in positives:
            recall, precision = found / len(positives), found / rank
            previous_precision = before
            area += (recall - previous_recall) * (previous_precision + precision) / 2
            previous_recall, last_rank = recall, rank
    cut = [found_by_rank[min(last_rank, k) - 1] / min(last_rank, k) for k in (1, 5, 10)]
    return area, cut


def _slow_protocol(
    orders: list[list[int]], truths: list[RevisitedTruth]
) -> dict[str, tuple[float, list[float], int]]:
    levels: dict[str, tuple[float, list[float], int]] = {}
    for level in ("easy", "medium", "hard"):
        results = []
        for order, truth in zip(orders, truths, strict=True):
            easy, hard, junk = (
                {int(i) for i in rows} for rows in (truth.easy, truth.hard, truth.junk)
            )
            wanted, ignored = {
                "easy": (easy, junk | hard),
                "medium": (easy | hard, junk),
                "hard": (hard, junk | easy),
            }[level]
            results.append(_slow(order, wanted, ignored))
        counted = [result for result in results if result is not None]
        mean_ap = sum(ap for ap, _ in counted) / len(counted)
        precision = [sum(cut[i] for _, cut in counted) / len(counted) for i in range(3)]
        levels[level] = mean_ap, precision, len(results) - len(counted)
    return levels


@pytest.fixture(scope="module", params=SETS)
def truth(
    request: pytest.FixtureRequest, photographs: Path
) -> tuple[str, int, list[RevisitedTruth]]:
    path = photographs / "revisited" / f"gnd_{request.param}.pkl"
    if not path.is_file():
        pytest.skip(f"needs the real ground truth: no {path.name}")
    return str(request.param), *read_truths(path)


def test_the_ground_truth_has_the_published_sizes(
    truth: tuple[str, int, list[RevisitedTruth]],
) -> None:
    name, images, truths = truth
    found = images, *(sum(len(getattr(t, key)) for t in truths) for key in ("easy", "hard", "junk"))
    published = {"roxford5k": (4993, 3029, 2497, 1356), "rparis6k": (6322, 6874, 10350, 7153)}
    assert found == published[name]
    for of in truths:
        assert len(set(of.easy) | set(of.hard) | set(of.junk)) == sum(
            map(len, (of.easy, of.hard, of.junk))
        )


def _order_by(images: int, *groups: np.ndarray) -> np.ndarray:
    ahead = np.concatenate(groups)
    return np.concatenate([ahead, np.setdiff1d(np.arange(images), ahead)])


def test_a_perfect_ranking_scores_one_everywhere(
    truth: tuple[str, int, list[RevisitedTruth]],
) -> None:
    _, images, truths = truth
    # Junk first, then the positives: junk is taken out, so it changes nothing.
    order = np.array([_order_by(images, t.junk, t.easy, t.hard) for t in truths])
    for score in judge_revisited(_ranking(order), truths).values():
        assert score.mean_ap == pytest.approx(1.0, abs=1e-12)
        assert score.mean_precision_at == {1: 1.0, 5: 1.0, 10: 1.0}


def test_two_queries_of_roxford_have_no_easy_positive(
    truth: tuple[str, int, list[RevisitedTruth]],
) -> None:
    name, images, truths = truth
    order = np.tile(np.arange(images), (len(truths), 1))
    scores = judge_revisited(_ranking(order), truths)
    skipped = {level: score.skipped for level, score in scores.items()}
    assert skipped == {"easy": 2 if name == "roxford5k" else 0, "medium": 0, "hard": 0}
    assert np.isfinite(scores["easy"].mean_ap)


def test_the_positives_last_score_what_the_closed_form_says(
    truth: tuple[str, int, list[RevisitedTruth]],
) -> None:
    _, images, truths = truth
    order = np.array(
        [np.concatenate([_order_by(images, t.junk, t.easy, t.hard)[::-1]]) for t in truths]
    )
    medium = judge_revisited(_ranking(order), truths)["medium"]
    for ap, t in zip(medium.average_precision, truths, strict=True):
        p, n = len(t.easy) + len(t.hard), images - len(t.easy) - len(t.hard) - len(t.junk)
        expected = sum(j / (n + j) + (j + 1) / (n + j + 1) for j in range(p)) / (2 * p)
        assert ap == pytest.approx(expected, abs=1e-12)
    assert medium.mean_precision_at[10] == 0.0


def test_junk_anywhere_changes_nothing(truth: tuple[str, int, list[RevisitedTruth]]) -> None:
    _, images, truths = truth
    random = np.random.default_rng(5)
    first, scattered = [], []
    for of in truths:
        rest = random.permutation(np.setdiff1d(np.arange(images), of.junk))
        first.append(np.concatenate([of.junk, rest]))
        places = np.sort(random.choice(len(rest) + 1, size=len(of.junk)))
        scattered.append(np.insert(rest, places, of.junk))
    a = judge_revisited(_ranking(np.array(first)), truths)["medium"]
    b = judge_revisited(_ranking(np.array(scattered)), truths)["medium"]
    np.testing.assert_array_equal(a.average_precision, b.average_precision)
    assert a.mean_precision_at == b.mean_precision_at


def test_a_hundred_random_rankings_equal_the_slow_loops(
    truth: tuple[str, int, list[RevisitedTruth]],
) -> None:
    _, images, truths = truth
    random = np.random.default_rng(11)
    for trial in range(50):  # of each of the two benchmarks
        # Noise between nothing known and nearly everything known about what is positive.
        known = np.zeros((len(truths), images))
        for row, of in zip(known, truths, strict=True):
            row[np.concatenate([of.easy, of.hard])] = trial / 10
            row[of.junk] = random.random()
        order = np.argsort(-(known + random.standard_normal(known.shape)), axis=1)
        chosen = random.choice(len(truths), size=6, replace=False)
        some = [truths[i] for i in chosen] + [of for of in truths if not len(of.easy)][:1]
        rows = [*order[chosen], *([order[0]] if len(some) > 6 else [])]
        found = judge_revisited(_ranking(np.array(rows)), some)
        slow = _slow_protocol([[int(i) for i in row] for row in rows], some)
        for level, score in found.items():
            mean_ap, precision, skipped = slow[level]
            assert score.mean_ap == pytest.approx(mean_ap, abs=1e-10)
            assert list(score.mean_precision_at.values()) == pytest.approx(precision, abs=1e-10)
            assert score.skipped == skipped


def test_worked_by_hand() -> None:
    # positive, negative, junk, positive  →  without junk: places 0 and 2.
    places = found_places(
        _rows(0, 1, 2, 3).astype(np.uint32), np.arange(4), Marks(_rows(0, 3), _rows(2))
    )
    np.testing.assert_array_equal(places, [0, 2])
    # ((1 + 1/1)/2 + (1/2 + 2/3)/2) / 2
    assert trapezoid_ap(places) == pytest.approx((1 + 7 / 12) / 2, rel=1e-15)
    assert precision_at(places, 1) == 1.0
    assert precision_at(places, 2) == 0.5
    # Only three ranks up to the last positive: P@10 divides by 3.
    assert precision_at(places, 10) == pytest.approx(2 / 3)


def test_distractors_push_places_back() -> None:
    ranking = Ranking(np.array([[1, 0]], dtype=np.uint32), np.array([[3, 9]]))
    score = LandmarkScore.of(ranking, [Marks(_rows(1), NONE)])
    assert score.mean_ap == pytest.approx((0 + 1 / 4) / 2)
    assert score.mean_precision_at == {1: 0.0, 5: 1 / 4, 10: 1 / 4}


def test_a_truth_of_other_photographs_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="none of the 1 queries has a positive"):
        LandmarkScore.of(_ranking(_rows(0, 1)), [Marks(NONE, NONE)])
