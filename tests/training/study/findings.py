"""A small study that was never run: tables from YAML, and results made up for its runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.study.asking import Lever, QueryLevers, SetSize
from training.study.plan import Run, Table, read_tables
from training.study.result import Figures, OnSet, Result

TABLES = Path(__file__).resolve().parents[3] / "training" / "configs" / "study"
TEACHER = 0.5
SET, OTHER_SET = "cartons", "things | others"


def study_tables() -> tuple[Table, ...]:
    """The study's own."""
    return read_tables(TABLES)


def runs_of(tables: tuple[Table, ...]) -> list[Run]:
    return [run for table in tables for run in table.runs]


def figures(mean_ap: float) -> Figures:
    return Figures(mean_ap=mean_ap, precision_at_1=mean_ap / 2)


def on_set(run: Run, asymmetric: float, symmetric: float) -> OnSet:
    """As the judge has it for a student, a student that is alone, and a teacher."""
    plain, aligned = {}, {}
    if run.trial == "teacher":
        plain["teacher_to_teacher"] = figures(symmetric)
    else:
        plain["student_to_student"] = figures(symmetric)
    if run.teacher is not None:
        plain |= {
            "teacher_to_teacher": figures(TEACHER),
            "student_to_teacher": figures(asymmetric),
        }
        aligned["student_to_teacher"] = figures(asymmetric + 0.05)
    return OnSet(queries=10, gallery=20, plain=plain, aligned=aligned)


def result_of(run: Run, asymmetric: float = 0.3, symmetric: float = 0.4) -> Result:
    return Result(
        table=run.table,
        row=run.row.name,
        seed=run.seed,
        config_sha256=run.sha256,
        git_commit="c" * 40,
        views=100 * run.config.crops.per_photograph,
        seen=1000,
        seconds=60.0,
        threads=1,
        sets={
            SET: on_set(run, asymmetric, symmetric),
            OTHER_SET: on_set(run, asymmetric / 2, symmetric / 2),
        },
    )


def results_of(
    tables: tuple[Table, ...], make: Callable[[Run], Result | None] = result_of
) -> dict[str, Result | None]:
    return {run.name: make(run) for run in runs_of(tables)}


def queries(**mean_aps: float) -> QueryLevers:
    """The levers named, `_` for `-`, on one set."""
    return QueryLevers(
        teacher="big@1",
        student="small@1",
        machine="a machine",
        command="benchmarks/asking.py photographs",
        git_commit="d" * 40,
        sets={SET: SetSize(queries=10, gallery=20)},
        levers=tuple(
            Lever(
                name=name.replace("_", "-"),
                label=name,
                about="",
                cost_ms=10.0,
                sets={SET: figures(mean_ap)},
            )
            for name, mean_ap in mean_aps.items()
        ),
    )
