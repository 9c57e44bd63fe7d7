"""The table: on the terminal, as JSON, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich import box
from rich.table import Table

from tests.torture.outcome import Outcome

_COLOURS = {"passed": "green", "falls short": "bold red", "did not run": "yellow"}


def as_table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="Torture", box=box.SIMPLE_HEAD, expand=True)
    for heading, ratio in (("test", 3), ("bound", 3), ("figure seen", 4)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    for one in outcomes:
        verdict = f"[{_COLOURS[one.verdict]}]{one.verdict}[/]"
        table.add_row(one.row.test, one.row.bound, one.seen, verdict, f"{one.seconds:.0f}")
    return table


def as_json(outcomes: Sequence[Outcome]) -> str:
    rows = [
        {
            "row": one.row.name,
            "test": one.row.test,
            "bound": one.row.bound,
            "tests": one.tests,
            "figures": one.figures,
            "verdict": one.verdict,
            "seconds": round(one.seconds, 1),
            "complaints": one.complaints,
        }
        for one in outcomes
    ]
    return json.dumps(rows, indent=2) + "\n"


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    lines = ["| test | bound | figure seen | verdict | s |", "|---|---|---|---|---:|"]
    lines += [
        f"| {one.row.test} | {one.row.bound} | {one.seen} | {one.verdict} | {one.seconds:.0f} |"
        for one in outcomes
    ]
    return "\n".join(lines) + "\n"
