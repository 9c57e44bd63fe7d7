"""The verbs training adds to `lorgnette`: whiten, train."""

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
