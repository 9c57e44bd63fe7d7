"""How a row went: its tests' figures, folded, and one verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.torture.figures import FOLDS
from tests.torture.plugin import Told
from tests.torture.rows import Row

Verdict = Literal["passed", "falls short", "did not run"]


@dataclass(frozen=True)
class Outcome:
    """seconds: wall clock of the row. complaints: one line for every test that did not pass."""

    row: Row
    verdict: Verdict
    figures: dict[str, float]
    tests: int
    seconds: float
    complaints: tuple[str, ...]

    @property
    def seen(self) -> str:
        """The figures in one line."""
        if not self.tests:
            return "-"
        count = "1 test" if self.tests == 1 else f"{self.tests} tests"
        told = [f"{label} {number(value)}" for label, value in self.figures.items()]
        return "; ".join((count, *told))


def outcome_of(row: Row, told: list[Told], *, code: int, seconds: float) -> Outcome:
    """code: the exit status of the row's process; pytest's own are 0, 1 and 5 (no tests)."""
    complaints = [
        f"{one.test} {one.outcome}: {' '.join(one.message.split())[:300]}"
        for one in told
        if one.outcome != "passed"
    ]
    if not told:
        complaints.append("no test carries its marker, or none was reached")
    if code not in (0, 5) and all(one.outcome != "failed" for one in told):
        complaints.append(f"its process ended with status {code}: see its log")
    return Outcome(
        row=row,
        verdict=_verdict(told, code=code),
        figures=_folded(told),
        tests=len(told),
        seconds=seconds,
        complaints=tuple(complaints),
    )


def _verdict(told: list[Told], *, code: int) -> Verdict:
    outcomes = {one.outcome for one in told}
    if "failed" in outcomes or code not in (0, 5):
        return "falls short"
    return "passed" if outcomes == {"passed"} else "did not run"


def _folded(told: list[Told]) -> dict[str, float]:
    values: dict[tuple[str, str], list[float]] = {}
    for one in told:
        for label, value, fold in one.figures:
            values.setdefault((label, fold), []).append(value)
    return {label: FOLDS[fold](seen) for (label, fold), seen in values.items()}


def number(value: float) -> str:
    """Whole numbers whole, others to three digits."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
