from __future__ import annotations

import statistics

import pytest

from tests.training.study.findings import SET, TEACHER, result_of, results_of, runs_of, study_tables
from training.study.found import (
    ASYMMETRIC,
    SYMMETRIC,
    distinct_vectors,
    found_table,
    published_figures,
    spread,
)
from training.study.plan import Run, Table
from training.study.result import Result

TABLES = study_tables()


def table(name: str) -> Table:
    return next(table for table in TABLES if table.name == name)


def by_seed(run: Run) -> Result:
    """0.30, 0.32 and 0.37 for the three seeds."""
    return result_of(run, (0.30, 0.32, 0.37)[run.seed])


def test_a_row_of_three_seeds_has_their_mean_and_sample_deviation() -> None:
    row = found_table(table("1_losses"), results_of(TABLES, by_seed)).row("regression")
    found = row and row.mean_ap(ASYMMETRIC, SET)
    assert row is not None
    assert found is not None
    assert found.n == 3
    assert found.mean == pytest.approx(33.0)
    assert found.deviation == pytest.approx(statistics.stdev([30.0, 32.0, 37.0]))
    ratio = row.ratio(ASYMMETRIC, SET)
    assert ratio is not None
    assert ratio.mean == pytest.approx(0.33 / TEACHER)


def test_one_seed_has_no_deviation_and_none_has_no_mean() -> None:
    one = spread([3.0])
    assert one is not None
    assert (one.mean, one.deviation, one.n) == (3.0, None, 1)
    assert spread([]) is None


def test_a_student_alone_is_compared_with_the_teacher_of_the_table() -> None:
    row = found_table(table("1_losses"), results_of(TABLES)).row("alone")
    ratio = row and row.ratio(SYMMETRIC, SET)
    assert row is not None
    assert ratio is not None
    assert ratio.mean == pytest.approx(0.4 / TEACHER)
    assert row.mean_ap(ASYMMETRIC, SET) is None


def test_runs_that_are_missing_are_kept_as_missing() -> None:
    results = results_of(TABLES, lambda run: None if run.seed == 1 else result_of(run))
    row = found_table(table("1_losses"), results).row("regression")
    assert row is not None
    assert [run.seed for run, _ in row.done] == [0, 2]
    assert [run.seed for run in row.missing] == [1]


@pytest.mark.parametrize(
    ("row", "vectors"),
    [("closed-form-1", 100), ("closed-form-2", 200), ("closed-form-4", 400), ("steps-40", 48)],
)
def test_vectors_are_those_shown_or_those_of_the_closed_form(row: str, vectors: int) -> None:
    run = next(run for run in runs_of(TABLES) if run.table == "5_curve" and run.row.name == row)
    assert distinct_vectors(run, result_of(run).model_copy(update={"seen": 48})) == vectors


def test_views_that_come_again_are_not_new_vectors() -> None:
    run = next(run for run in runs_of(TABLES) if run.row.name == "steps-40")
    assert distinct_vectors(run, result_of(run)) == 400


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (None, ()),
        ("64.7", (64.7,)),
        ("– / 59.6", (None, 59.6)),
        ("52.9 / 64.9", (52.9, 64.9)),
        ("not stated", (None,)),
    ],
)
def test_published_figures_are_read_and_dashes_are_none(
    text: str | None, numbers: tuple[float | None, ...]
) -> None:
    assert published_figures(text) == numbers
