"""The study: every row trained and judged, some at a time, each kept when it is done.

    lay out → teachers → runs (train → judge → result.json) → page

What the runs share (the teachers' rows, the maps of frozen stages) is computed once, by whichever
run needs it first.  Interrupted, the same command goes on.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lorgnette.errors import InvalidConfiguration, LorgnetteError
from training.config import Running, TeacherConfig, TrainConfig, load_config
from training.evaluation.names import Pairing
from training.loop import CHECKPOINT_NAME
from training.material import Material, material_of
from training.metrics import METRICS_NAME
from training.progress import progress_bar
from training.runtime import run as in_process
from training.student import Kept, make_student
from training.study.data import lay_out
from training.study.judge import Judge, open_judge
from training.study.plan import Run, Trial
from training.study.result import Result, read_result, write_result
from training.teacher import make_teacher
from training.teacher_encoder import TeacherEncoder, open_teacher
from training.trained_model import SPEC_NAME, ModelSpec, load_model

COMMAND = "lorgnette study"
CONFIG_NAME = "config.json"
LOG_NAME = "log.txt"
TEACHERS_NAME = "teachers"
THREADS = 1
"""Of each run: two runs side by side use two cores better than one run does."""


@dataclass(frozen=True)
class Study:
    """tables: the folder of the YAMLs.  shipped: the bundle that is the study's main teacher.

    out: where everything goes.
    """

    tables: Path
    photographs: Path
    shipped: Path
    out: Path

    @property
    def data(self) -> Path:
        """What the configurations' folders are relative to."""
        return self.out / "data"

    @property
    def kept(self) -> Path:
        """What the runs share."""
        return self.out / "kept"

    def directory(self, run: Run) -> Path:
        """Of one run."""
        return self.out / "runs" / run.name

    def teacher(self, name: str) -> Path:
        """The directory of a teacher: the shipped bundle, or one that the study makes."""
        config = self.tables / TEACHERS_NAME / f"{name}.yaml"
        return self.out / TEACHERS_NAME / name if config.exists() else self.shipped


def results_of(study: Study, runs: Sequence[Run]) -> dict[str, Result | None]:
    """What is found so far, by the run's name; None for what is not done, or of another recipe."""
    return {run.name: _result(study, run) for run in runs}


def _result(study: Study, run: Run) -> Result | None:
    found = read_result(study.directory(run))
    return found if found is not None and found.config_sha256 == run.sha256 else None


def carry_out(study: Study, runs: Sequence[Run], *, jobs: int) -> None:
    """Run what has no result yet, `jobs` at a time.

    Raises `InvalidConfiguration` naming the runs that failed, after all others are done.
    """
    lay_out(study.photographs, study.data)
    for name in sorted({run.teacher for run in runs if run.teacher}):
        _make_teacher(study, name)
    open_runs = [run for run in runs if _result(study, run) is None]
    for run in open_runs:
        _forget_another_recipe(study.directory(run), run)
    if not open_runs:
        return
    failed = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool, progress_bar() as bar:
        task = bar.add_task("runs", total=len(runs), completed=len(runs) - len(open_runs))
        waiting = {pool.submit(_one, study, run): run for run in open_runs}
        try:
            for future in as_completed(waiting):
                error = future.exception()
                if isinstance(error, LorgnetteError):
                    failed[waiting[future].name] = error
                elif error is not None:
                    raise error
                bar.update(task, advance=1, description=f"runs, last {waiting[future].name}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        told = "; ".join(f"{name}: {error}" for name, error in failed.items())
        raise InvalidConfiguration(f"{len(failed)} of {len(runs)} runs failed: {told}")


def _forget_another_recipe(directory: Path, run: Run) -> None:
    try:
        found = json.loads((directory / CONFIG_NAME).read_bytes())["sha256"]
    except FileNotFoundError:
        return
    if found != run.sha256:
        shutil.rmtree(directory)


def _make_teacher(study: Study, name: str) -> None:
    out = study.teacher(name)
    if out == study.shipped or (out / SPEC_NAME).exists():
        return
    config = load_config(study.tables / TEACHERS_NAME / f"{name}.yaml", TeacherConfig)
    with in_process(out, threads=config.running.threads):
        make_teacher(config, root=study.data, out=out, command=COMMAND)


def _one(study: Study, run: Run) -> None:
    """Train and judge one run, in a process of the pool; what it says goes to its own log."""
    out = study.directory(run)
    out.mkdir(parents=True, exist_ok=True)
    with _said_to(out / LOG_NAME), in_process(out, threads=THREADS) as place:
        material = _material(study, run.config)
        taught = None if run.teacher is None else study.teacher(run.teacher)
        spec = make_student(
            run.config,
            root=study.data,
            teacher=taught,
            out=out,
            command=COMMAND,
            place=place,
            kept=Kept(study.kept, has_maps=True),
            material=material,
        )
        write_result(out, _judged(study, run, spec, views=len(material.views)))
    (out / CHECKPOINT_NAME).unlink(missing_ok=True)


def _judged(study: Study, run: Run, spec: ModelSpec, *, views: int) -> Result:
    out = study.directory(run)
    model, _ = load_model(out)
    judge = _judge(study, run.trial)
    if run.teacher is None:
        own: Pairing = "student_to_student" if run.trial == "student" else "teacher_to_teacher"
        sets = judge.alone(model, run.config, own)
    else:
        sets = judge.student(model, run.config, _teacher(study, run.teacher, run.config.model.dim))
    seconds, seen = _spent(out / METRICS_NAME)
    return Result(
        table=run.table,
        row=run.row.name,
        seed=run.seed,
        config_sha256=run.sha256,
        git_commit=spec.provenance.git_commit,
        views=views,
        seen=seen,
        seconds=seconds,
        threads=THREADS,
        sets=sets,
    )


def _spent(metrics: Path) -> tuple[float, int]:
    """Seconds in steps, and views shown: the logged steps stand for those between them."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    steps = 1 + max(line["step"] for line in lines)
    logged = [line for line in lines if "seconds" in line]
    seconds = sum(line["seconds"] for line in logged) / len(logged) * steps
    per_step = sum(line["seconds"] * line["views_per_s"] for line in logged) / len(logged)
    return seconds, round(per_step * steps)


@cache
def _judge(study: Study, trial: Trial) -> Judge:
    running = Running(threads=THREADS, batch_size=32)
    return open_judge(trial, study.data, kept=study.kept, running=running)


@cache
def _teacher(study: Study, name: str, dim: int) -> TeacherEncoder:
    import torch

    device = torch.device("cpu")
    return open_teacher(study.teacher(name), dim=dim, threads=THREADS, device=device)


_MATERIALS: dict[str, Material] = {}


def _material(study: Study, config: TrainConfig) -> Material:
    """Found once in each process: reading thousands of photographs takes as long as a run."""
    key = config.model_dump_json(include={"data", "crops", "validation", "whitening"})
    if key not in _MATERIALS:
        _MATERIALS[key] = material_of(config, study.data)
    return _MATERIALS[key]


@contextmanager
def _said_to(path: Path) -> Iterator[None]:
    """Within the block, what this process prints goes to the end of a file."""
    with path.open("a") as log:
        before = [os.dup(stream.fileno()) for stream in (sys.stdout, sys.stderr)]
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(log.fileno(), stream.fileno())
        try:
            yield
        finally:
            for stream, was in zip((sys.stdout, sys.stderr), before, strict=True):
                stream.flush()
                os.dup2(was, stream.fileno())
                os.close(was)
