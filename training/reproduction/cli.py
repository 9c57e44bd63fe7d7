"""The verb `lorgnette reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.reproduction.published import TableName

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

TableArgument = Annotated[TableName, typer.Argument(help="Which table.")]
DataOption = Annotated[
    Path, typer.Option("--data", help="Where `lorgnette data get` put the data sets.")
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Directory of the runs, their vectors and the table.")
]
TeacherOption = Annotated[
    Path | None,
    typer.Option("--teacher", help="The students' teacher, a run [trained first, from its YAML]."),
]
WhiteningOption = Annotated[
    Path | None,
    typer.Option(
        "--whitening",
        help="For an unwhitened --teacher: the run whose last layer whitens the test, as AML does.",
    ),
]
RowsOption = Annotated[
    str | None,
    typer.Option("--rows", help="Only these, by the names of their YAMLs: rkd,regression."),
]


def reproduce(
    table: TableArgument,
    *,
    data: DataOption,
    out: OutOption,
    teacher: TeacherOption = None,
    whitening: WhiteningOption = None,
    rows: RowsOption = None,
) -> None:
    """Run a published table again: train and evaluate each row, print ours beside theirs.

    Each row is days of a GPU. Interrupted, run the same command again: finished rows are read, the
    one that was running goes on. A row that fails is named and leaves the others alone.

    \b
    Examples:
      lorgnette reproduce aml-asymmetric --data ~/sets --out runs/aml --rows regression
      lorgnette reproduce metrix --data ~/sets --out runs/metrix
      lorgnette reproduce metrix-sop --data ~/sets --out runs/metrix-sop
    """
    from training.reproduction.rows import Folders, lorgnette
    from training.reproduction.table import markdown_of
    from training.reproduction.table import reproduce as run

    folders = Folders(configs=CONFIGS, data=data, out=out, teacher=teacher, whitening=whitening)
    only = [] if rows is None else [name.strip() for name in rows.split(",")]
    done = run(table, folders, only=only, command=lorgnette)
    typer.echo(markdown_of(done))
    if done.failures:
        raise typer.Exit(1)
