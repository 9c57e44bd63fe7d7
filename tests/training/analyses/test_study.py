"""The analyses put together, on rows whose geometry is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lorgnette.errors import InvalidConfiguration
from tests.training.analyses.subjects import subject
from training.analyses.study import SHARES, study_geometry, study_positivity
from training.analyses.subject import subject_of
from training.evaluation.folder import Protocol
from training.losses.pair import MultiSimilarity
from training.mixing_spec import MixSpec

MIX = MixSpec(
    where="embedding",
    layer=None,
    pairs="positive-negative",
    alpha=2.0,
    draw="pair",
    per_anchor=8,
    weight=1.0,
)
LOSS = MultiSimilarity(alpha=17.97, beta=75.66, base=0.77)


def test_measured_positivity_follows_the_closed_form() -> None:
    """Each from a draw of its own, 60 queries of 8 columns used by all of their class."""
    found = study_positivity(subject(classes=6, per_class=10), LOSS, MIX, seed=0)
    np.testing.assert_allclose(found.alone, found.predicted, atol=0.05)
    assert found.alone[0] > found.alone[-1]
    assert 0 < found.drawn < 1
    assert len(SHARES) == len(found.together) == 19


def test_equal_seeds_give_equal_figures() -> None:
    one, same, other = (study_positivity(subject(), LOSS, MIX, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert study_geometry(subject(), MIX, seed=0) == study_geometry(subject(), MIX, seed=0)


def test_mixed_embeddings_use_more_of_the_space() -> None:
    found = study_geometry(subject(spread=0.8), MIX, seed=0)
    assert 0 < found.utilisation_mixed < found.utilisation
    assert found.alignment_teacher < found.alignment_student
    assert -8 < found.uniformity_teacher < 0


def test_a_query_is_not_its_own_neighbour() -> None:
    whole = subject()
    same = replace(whole, student=whole.teacher)
    assert study_geometry(same, MIX, seed=0).utilisation > 0.01


def test_one_class_has_nothing_to_mix() -> None:
    with pytest.raises(InvalidConfiguration, match="at least two classes"):
        study_positivity(subject(classes=1), LOSS, MIX, seed=0)


def _protocol() -> Protocol:
    paths = tuple(Path("set") / name / f"{n}.jpg" for name in ("b", "a") for n in range(3))
    return Protocol(
        folder=Path("set"),
        paths=paths,
        queries=np.array([0, 1, 4]),
        gallery=np.array([2, 3, 5]),
        is_leave_one_out=False,
    )


def test_photographs_that_could_not_be_read_are_left_out() -> None:
    rows = np.eye(6, dtype=np.float32)
    is_read = np.array([True, False, True, True, True, True])
    kept = subject_of(
        _protocol(), teacher=rows, student=rows[::-1], is_read=is_read, made_by=("t", "s")
    )
    assert [path.name for path in kept.paths] == ["0.jpg", "2.jpg", "0.jpg", "1.jpg", "2.jpg"]
    assert kept.names == ("a", "b")
    assert kept.labels.tolist() == [1, 1, 0, 0, 0]
    assert (kept.queries.tolist(), kept.gallery.tolist()) == ([0, 3], [1, 2, 4])
    assert np.array_equal(kept.teacher, rows[[0, 2, 3, 4, 5]])
    assert np.array_equal(kept.student, rows[::-1][[0, 2, 3, 4, 5]])
    assert kept.relevant(np.arange(2)).tolist() == [[True, False, False], [False, True, True]]
    assert kept.own(np.arange(2)) is None


def test_a_subject_without_queries_is_refused() -> None:
    rows = np.eye(6, dtype=np.float32)
    is_read = np.array([False, False, True, True, False, True])
    with pytest.raises(InvalidConfiguration, match="0 queries and 3 photographs"):
        subject_of(_protocol(), teacher=rows, student=rows, is_read=is_read, made_by=("t", "s"))


def test_no_photograph_is_relevant_to_itself() -> None:
    relevant = subject(classes=2, per_class=2).relevant(np.arange(4))
    assert relevant.tolist() == [
        [False, True, False, False],
        [True, False, False, False],
        [False, False, False, True],
        [False, False, True, False],
    ]
