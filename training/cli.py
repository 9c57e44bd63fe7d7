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
    Path | None,
    typer.Option(
        "--teacher",
        help="For role: query: the --out of a gallery model's training or of `lorgnette whiten`, "
        "or its bundle (faster).",
    ),
]
KeepOption = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        help="Where the teacher's vectors and the like are kept for other runs too [in --out].",
    ),
]
MapsOption = Annotated[
    bool,
    typer.Option(
        "--keep-maps",
        help="Run the frozen stages once a view and keep their maps: several times as fast where "
        "late stages alone are trained.",
    ),
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
    out: OutOption,
    teacher: TeacherOption = None,
    keep: KeepOption = None,
    keep_maps: MapsOption = False,
) -> None:
    """Train one network: a student in a teacher's space (role: query), or a teacher (gallery).

    Interrupted, run the same command again: it goes on from its last checkpoint, to the same
    weights bit for bit. Beside the model, --out holds config.json (resolved, with its sha256 and
    the git commit), metrics.jsonl, checkpoint.pt and the snapshots in kept/.

    \b
    Examples:
      asymmetric, against a teacher's cached rows:
        lorgnette train training/configs/student_lite0.yaml --data ~/photos \\
          --teacher runs/teacher --out runs/student
      symmetric, a network that makes its own space:
        lorgnette train training/configs/aml/student_alone_2048.yaml --data ~/sets --out runs/alone
      a teacher, with ArcFace:
        lorgnette train training/configs/glam/global_local.yaml --data ~/sets --out runs/glam
      on two GPUs of one machine (of several: torchrun's --nnodes and --rdzv-endpoint, and an
      --out that all of them see):
        torchrun --nproc-per-node 2 --no-python \\
          lorgnette train training/configs/glam/global_local.yaml --data ~/sets --out runs/glam
    """
    from training.config import TrainConfig, load_config
    from training.provenance import shown
    from training.runtime import run
    from training.student import Kept, make_student

    settings = load_config(config, TrainConfig)
    taught = "" if teacher is None else f" --teacher {shown(teacher)}"
    command = f"lorgnette train {shown(config)} --data DATA{taught} --out {shown(out)}"
    with run(out, threads=settings.running.threads) as place:
        spec = make_student(
            settings,
            root=data,
            teacher=teacher,
            out=out,
            command=command,
            place=place,
            kept=Kept(keep, keep_maps),
        )
        if place.is_first:
            typer.echo(f"{out}: {spec.name}, speaks {spec.space.id}, {spec.space.dim} dimensions")
