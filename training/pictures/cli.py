"""The verb `lorgnette report`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lorgnette.errors import InvalidConfiguration

RunArgument = Annotated[Path, typer.Argument(help="The --out of `lorgnette train`.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Where the report goes.", show_default="RUN/report")
]


def report(
    run: RunArgument,
    *,
    gallery: Annotated[
        Path | None,
        typer.Option("--gallery", help="The teacher: its bundle, or its run's --out."),
    ] = None,
    query: Annotated[
        Path | None,
        typer.Option("--query", help="The student: its bundle, or its run's --out."),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", help="Folder with one folder a class.")
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            "--splits",
            help="TSV path<TAB>role (gallery, query, ...), also looked for inside the data set; "
            "without it: leave-one-out.",
        ),
    ] = None,
    out: OutOption = None,
    perplexity: Annotated[float, typer.Option("--perplexity", min=1, help="Of t-SNE.")] = 30,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of t-SNE and its choice.")] = 0,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Photographs embedded at once.")
    ] = 2,
) -> None:
    """One HTML page of a run: its curves, its conditions, and what it finds.

    Without a data set it shows the training curves. With --gallery, --query
    and --dataset also the scores, precision and recall, ranked galleries and
    t-SNE of both embeddings. The page needs nothing beside itself; each
    picture is also a PNG. The vectors are kept: the same command is fast.

    \b
    Examples:
      lorgnette report runs/student
      lorgnette report runs/student --gallery models/teacher --query models/student \\
        --dataset ~/photos/mugs --splits splits.tsv
    """
    from training.analyses.subject import open_subject
    from training.pictures.report import NO_EVIDENCE, gather, write_report
    from training.pictures.run_record import read_run

    read_run(run)  # before the photographs are embedded
    out = run / "report" if out is None else out
    command = ["lorgnette", "report", run.name]
    evidence = NO_EVIDENCE
    if gallery is not None and query is not None and dataset is not None:
        subject = open_subject(
            gallery, query, dataset, splits=splits, rows=out / "rows", workers=workers
        )
        evidence = gather(subject, perplexity=perplexity, seed=seed)
        command += ["--gallery", gallery.name, "--query", query.name, "--dataset", dataset.name]
        command += [] if splits is None else ["--splits", splits.name]
        command += ["--perplexity", f"{perplexity:g}", "--seed", f"{seed}"]
    elif gallery or query or dataset or splits:
        raise InvalidConfiguration(
            "expected --gallery, --query and --dataset together (and --splits with them), or none "
            "of them: the figures are of a teacher and its student on a data set"
        )
    page = write_report(run, out, evidence, command=shlex.join(command))
    typer.echo(f"{page}")
