"""The pytest plugin of one row: run the tests that carry it, write down how each of them went."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from tests.torture.rows import BY_NAME


@dataclass
class Told:
    """One test. outcome: "passed", "failed" or "skipped"."""

    test: str
    outcome: str = "passed"
    message: str = ""
    figures: list[tuple[str, float, str]] = field(default_factory=list)


class RowOfTests:
    """Keep a row's tests, and their outcomes in a file that is complete after each of them."""

    def __init__(self, row: str, report: Path) -> None:
        self._row = row
        self._report = report
        self._told: dict[str, Told] = {}

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        kept = [item for item in items if self._row in rows_of(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = self._told.setdefault(report.nodeid, Told(report.nodeid))
        if report.outcome != "passed" and told.outcome != "failed":
            told.outcome = report.outcome
            told.message = _message(report)
        if report.when == "teardown":
            told.figures = [value for name, value in report.user_properties if name == "figure"]
            self._report.write_text(json.dumps([asdict(one) for one in self._told.values()]))


def rows_of(item: pytest.Item) -> set[str]:
    """The rows a test is part of. Raises for one that is not in the table."""
    names = {name for marker in item.iter_markers("torture_row") for name in marker.args}
    unknown = names - set(BY_NAME)
    if unknown:
        raise pytest.UsageError(f"{item.nodeid}: {sorted(unknown)} is no row of tests.torture.rows")
    return names


def _message(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash is not None else str(report.longrepr)[-500:]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--torture-row", help="run only the tests of this row")
    parser.addoption("--torture-report", type=Path, help="write there how each of them went")


def pytest_configure(config: pytest.Config) -> None:
    row, report = config.getoption("--torture-row"), config.getoption("--torture-report")
    config.pluginmanager.register(RowOfTests(row, report))
