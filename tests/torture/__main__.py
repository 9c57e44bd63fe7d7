"""`python -m tests.torture`: run the rows, print the table, exit non-zero if one falls short."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.torture.outcome import Outcome
from tests.torture.rows import chosen
from tests.torture.running import run_row
from tests.torture.table import as_json, as_markdown, as_table

console = Console()


def torture(
    only: Annotated[
        str, typer.Option(help="Rows, or what their names begin with, separated by spaces.")
    ] = "",
    out: Annotated[
        Path, typer.Option(help="Where the table goes, as JSON and Markdown, and each row's log.")
    ] = Path("torture-report"),
    listing: Annotated[bool, typer.Option("--list", help="List the rows and exit.")] = False,
) -> None:
    """Run every abuse the service must survive; one table of test, bound, figure and verdict.

    The table is written again after every row. Exits 1 if a row falls short or did not run.

    \b
    Examples:
      make torture
      make torture ONLY=crash
      make torture ONLY="swap overload"
      SOAK_MINUTES=3 make torture ONLY=soak    (shows figures, and counts as not run)
    """
    rows = chosen(only)
    if not rows:
        raise typer.BadParameter(f"no row begins with {only!r}: --list lists them")
    if listing:
        for row in rows:
            console.print(f"{row.name:22} {row.test}: {row.bound}", highlight=False)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    for number, row in enumerate(rows, start=1):
        # A row takes minutes: without a terminal there is no spinner, so each row is a line.
        console.print(f"[{number}/{len(rows)}] {row.name}: {row.test}", markup=False)
        with console.status(f"{row.name}: at most {row.longest_s // 60} min"):
            outcomes.append(run_row(row, out))
        console.print(f"  {outcomes[-1].verdict}, {outcomes[-1].seconds:.0f} s", highlight=False)
        (out / "torture.json").write_text(as_json(outcomes))
        (out / "torture.md").write_text(as_markdown(outcomes))
    console.print(as_table(outcomes))
    for outcome in outcomes:
        for line in outcome.complaints:
            console.print(f"{outcome.row.name}: {line}", markup=False, highlight=False)
    if any(outcome.verdict != "passed" for outcome in outcomes):
        console.print(f"the log of each row is in {out}", markup=False)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(torture)
