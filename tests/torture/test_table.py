"""The runner of `make torture` itself: what did not happen is never told as passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.outcome import outcome_of
from tests.torture.plugin import Told
from tests.torture.rows import ROWS, chosen
from tests.torture.running import ROOT, files_naming
from tests.torture.table import as_markdown

ROW = ROWS[0]


def test_figures_are_folded_over_the_tests_of_a_row() -> None:
    told = [
        Told("a", figures=[("lost", 1, "sum"), ("slowest, s", 0.25, "max")]),
        Told("b", figures=[("lost", 2, "sum"), ("slowest, s", 0.125, "max")]),
    ]
    outcome = outcome_of(ROW, told, code=0, seconds=3)
    assert outcome.verdict == "passed"
    assert outcome.seen == "2 tests; lost 3; slowest, s 0.25"
    assert f"| {outcome.seen} | passed | 3 |" in as_markdown([outcome])


@pytest.mark.parametrize(
    ("told", "code", "verdict"),
    [
        ([], 5, "did not run"),
        ([], 0, "did not run"),
        ([Told("a"), Told("b", "skipped", "no photographs")], 0, "did not run"),
        ([Told("a"), Told("b", "failed", "2 lost")], 1, "falls short"),
        ([Told("a")], -9, "falls short"),
        ([Told("a")], 1, "falls short"),
        ([Told("a")], 0, "passed"),
        ([], 2, "falls short"),
    ],
)
def test_only_a_row_all_of_whose_tests_passed_has_passed(
    told: list[Told], code: int, verdict: str
) -> None:
    outcome = outcome_of(ROW, told, code=code, seconds=0)
    assert outcome.verdict == verdict
    assert bool(outcome.complaints) == (verdict != "passed")


def test_a_selection_is_by_beginnings_of_names() -> None:
    assert {row.name for row in chosen("crash swap")} >= {"crash-points", "crash-random", "swap"}
    assert chosen("") == ROWS
    assert chosen("nothing") == ()


def test_the_tests_of_a_row_are_found_by_its_marker() -> None:
    (row,) = chosen("oracle")
    assert files_naming(row) == [ROOT / Path("tests/service/test_gallery_states.py")]
