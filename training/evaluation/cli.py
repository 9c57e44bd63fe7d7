"""The verb `lorgnette evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GalleryOption = Annotated[Path, typer.Option("--gallery", help="The teacher's bundle.")]
QueryOption = Annotated[Path, typer.Option("--query", help="The student's bundle.")]
DatasetOption = Annotated[Path, typer.Option("--dataset", help="Folder with one folder a class.")]
SplitsOption = Annotated[
    Path | None,
    typer.Option(
        "--splits",
        help="TSV path<TAB>role (gallery, query, val, pool), also looked for inside the data set; "
        "without it: leave-one-out.",
    ),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Also write the figures to this file.")
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="Photographs embedded at once.")
]


def evaluate(
    *,
    gallery: GalleryOption,
    query: QueryOption,
    dataset: DatasetOption,
    splits: SplitsOption = None,
    json_out: JsonOption = None,
    workers: WorkersOption = 2,
) -> None:
    """Score a student against its teacher: mAP and P@1 of the three pairings, and their ratios.

    \b
    Examples:
      lorgnette evaluate --gallery models/teacher --query models/student --dataset ~/photos/mugs
      lorgnette evaluate --gallery models/teacher --query models/student \\
        --dataset ~/photos/mugs --splits splits.tsv --json figures.json
    """
    from lorgnette.bundle import Bundle
    from training.evaluation.folder_report import report

    report(
        Bundle.open(gallery),
        Bundle.open(query),
        dataset,
        splits=splits,
        json_out=json_out,
        workers=workers,
    )
