"""The verbs training adds to `lorgnette`: whiten, train, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigArgument = Annotated[
    Path, typer.Argument(help="The experiment, a YAML such as those in training/configs.")
]
DataOption = Annotated[
    Path, typer.Option("--data", help="Folder that holds the folders named in the YAML.")
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Directory of the run; made if absent, resumed if not.")
]
TeacherOption = Annotated[
    Path,
    typer.Option("--teacher", help="The --out of `lorgnette whiten`, or its bundle (faster)."),
]
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


def whiten(config: ConfigArgument, *, data: DataOption, out: OutOption) -> None:
    """Make a teacher: a pretrained network with PCA whitening learned on unlabelled photographs.

    Interrupted, run the same command again: it goes on.

    \b
    Example:
      lorgnette whiten training/configs/teacher_lite2.yaml --data ~/photos --out runs/teacher
    """
    from training.config import TeacherConfig, load_config
    from training.provenance import shown
    from training.runtime import run
    from training.teacher import make_teacher

    settings = load_config(config, TeacherConfig)
    command = f"lorgnette whiten {shown(config)} --data DATA --out {shown(out)}"
    with run(out, threads=settings.running.threads):
        spec = make_teacher(settings, root=data, out=out, command=command)
    typer.echo(f"{out}: {spec.name}, space {spec.space.id}, {spec.space.dim} dimensions")


def train(
    config: ConfigArgument,
    *,
    data: DataOption,
    teacher: TeacherOption,
    out: OutOption,
) -> None:
    """Make a student: distil a light network into a teacher's space.

    Interrupted, run the same command again: it goes on from its last checkpoint, to the same
    weights bit for bit.

    \b
    Example:
      lorgnette train training/configs/student_lite0.yaml --data ~/photos \\
        --teacher runs/teacher --out runs/student
    """
    from training.config import StudentConfig, load_config
    from training.provenance import shown
    from training.runtime import run
    from training.student import make_student

    settings = load_config(config, StudentConfig)
    command = (
        f"lorgnette train {shown(config)} --data DATA --teacher {shown(teacher)} --out {shown(out)}"
    )
    with run(out, threads=settings.running.threads):
        spec = make_student(settings, root=data, teacher=teacher, out=out, command=command)
    typer.echo(f"{out}: {spec.name}, speaks {spec.space.id}, {spec.space.dim} dimensions")


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
    from training.report import report

    report(
        Bundle.open(gallery),
        Bundle.open(query),
        dataset,
        splits=splits,
        json_out=json_out,
        workers=workers,
    )
