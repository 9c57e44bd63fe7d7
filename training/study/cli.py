"""The verb `lorgnette study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.study.asking import QueryLevers
    from training.study.plan import Table
    from training.study.run import Study

DataOption = Annotated[
    Path, typer.Option("--data", help="Folder with the study's photographs, a folder a set.")
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Where runs and what they share are kept; resumed if there.")
]
TablesOption = Annotated[Path, typer.Option("--tables", help="Folder of the study's YAMLs.")]
TeacherOption = Annotated[
    Path, typer.Option("--teacher", help="The bundle of the teacher that the students learn from.")
]
OnlyOption = Annotated[
    str, typer.Option("--only", help="Runs whose name holds this, such as 1_losses or -s0.")
]
JobsOption = Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time, a core each.")]
PageOption = Annotated[
    Path | None,
    typer.Option("--page", help="Write the page of results here; pictures go beside it."),
]
QueriesOption = Annotated[
    Path | None,
    typer.Option("--queries", help="What benchmarks of queries found, for the page (a JSON file)."),
]
ListOption = Annotated[bool, typer.Option("--list", help="Say what is done and what is not; stop.")]
PageOnlyOption = Annotated[
    bool, typer.Option("--page-only", help="Run nothing: write the page of what there is.")
]


def study(
    *,
    data: DataOption,
    out: OutOption,
    tables: TablesOption = Path("training/configs/study"),
    teacher: TeacherOption = Path("models/teacher"),
    only: OnlyOption = "",
    jobs: JobsOption = 2,
    page: PageOption = None,
    queries: QueriesOption = None,
    list_runs: ListOption = False,
    page_only: PageOnlyOption = False,
) -> None:
    """Train and judge every row of the study, and write the page of results.

    Interrupted, run the same command again: runs that are done are kept, and one that was cut goes
    on from its last checkpoint. A row whose YAML has changed is run anew.

    \b
    Examples:
      lorgnette study --data ~/photographs --out runs/study --page docs/results.md
      lorgnette study --data ~/photographs --out runs/study --only 1_losses
      lorgnette study --data ~/photographs --out runs/study --list
    """
    from training.files import require_writable
    from training.study.asking import read_queries
    from training.study.plan import first_seeds_first, read_tables
    from training.study.run import Study, carry_out, results_of

    if page is None and page_only:
        raise typer.BadParameter("--page-only writes the page that --page names: give that too")
    if page is not None:
        require_writable(page)
    asked = None if queries is None else read_queries(queries)
    plan = read_tables(tables)
    runs = [run for run in first_seeds_first(plan) if only in run.name]
    if not runs:
        raise typer.BadParameter(f"no run's name holds {only!r}: --list names them all")
    where = Study(tables=tables, photographs=data, shipped=teacher, out=out)
    if list_runs:
        for run in runs:
            done = results_of(where, [run])[run.name] is not None
            typer.echo(f"{'done' if done else 'open'}  {run.name}")
        return
    if not page_only:
        carry_out(where, runs, jobs=jobs)
    if page is not None:
        _write(where, plan, page, asked)


def _write(where: Study, plan: tuple[Table, ...], page: Path, asked: QueryLevers | None) -> None:
    from training.hardware import hardware
    from training.study.page import write_page
    from training.study.run import results_of

    runs = [run for table in plan for run in table.runs]
    results = results_of(where, runs)
    write_page(plan, results, asked, out=page, machine=hardware(), command="make study")
