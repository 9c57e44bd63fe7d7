"""The verb `lorgnette report`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lorgnette.errors import InvalidConfiguration
from training.evaluation.options import DATASET, GALLERY, QUERY, SPLITS, WORKERS

RunArgument = Annotated[Path, typer.Argument(help="The --out of `lorgnette train`.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Where the report goes.", show_default="RUN/report")
]


PerplexityOption = Annotated[float, typer.Option("--perplexity", min=1, help="Of t-SNE.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of t-SNE and its choice.")]


def report(
    run: RunArgument,
    *,
    gallery: Annotated[Path | None, GALLERY] = None,
    query: Annotated[Path | None, QUERY] = None,
    dataset: Annotated[Path | None, DATASET] = None,
    splits: Annotated[Path | None, SPLITS] = None,
    out: OutOption = None,
    perplexity: PerplexityOption = 30,
    seed: SeedOption = 0,
    workers: Annotated[int, WORKERS] = 2,
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
    from training.pictures.report import NO_EVIDENCE, gather, write_report
    from training.pictures.run_record import read_run

    read_run(run)  # before the photographs are embedded
    out = run / "report" if out is None else out
    command, evidence = ["lorgnette", "report", run.name], NO_EVIDENCE
    if gallery is not None and query is not None and dataset is not None:
        from training.analyses.subject import open_subject

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
    typer.echo(f"{write_report(run, out, evidence, command=shlex.join(command))}")
