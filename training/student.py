"""Making a student: a light network distilled into a teacher's space."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import JsonValue

from training.averaging import interpolated
from training.config import StudentConfig, config_sha256, save_resolved
from training.data.catalogue import find_photographs
from training.data.loader import Views
from training.data.row_cache import RowCache
from training.embed import cached_embeddings, cached_pooled
from training.files import sha256_of
from training.head import solve_ridge
from training.loop import Lesson, fit
from training.losses.build import build_pair_loss
from training.models.embedder import Embedder
from training.models.pretrained import pretrained
from training.others import Teacher
from training.provenance import git_commit, spec_of
from training.teacher_encoder import TeacherEncoder, open_teacher
from training.trained_model import ModelSpec, save_model


def make_student(
    config: StudentConfig, *, root: Path, teacher: Path, out: Path, command: str
) -> ModelSpec:
    """Cache the teacher's rows, solve the head, train the whole, save the model into `out`.

    root: the folder the sources are relative to.  teacher: a trained teacher or its bundle.
    Interrupted, the same call goes on where it was.  Raises typed errors for all that is wrong.
    """
    commit = git_commit()
    encoder = open_teacher(teacher, dim=config.model.dim, threads=config.running.threads)
    student, weights = pretrained(config.model)
    views = Views(find_photographs(root, config.data), config.crops)
    save_resolved(config, out / "config.json", git_commit=commit)
    steps = _distil(student, encoder, views, config, out=out)
    metrics: dict[str, JsonValue] = {
        "photographs": len(views.photographs.paths),
        "views": len(views),
        "steps": steps,
    }
    spec = spec_of(
        config,
        role="query",
        space=encoder.space,
        commit=commit,
        command=command,
        weights=weights,
        metrics=metrics,
    )
    save_model(out, student, spec)
    return spec


def _distil(
    student: Embedder, teacher: TeacherEncoder, views: Views, config: StudentConfig, *, out: Path
) -> int:
    """Give the student its final weights and return the number of steps it took."""
    targets = cached_embeddings(out / "teacher", teacher, views, running=config.running)
    _initialise_head(student, targets, views, config, out=out)
    lesson = Lesson(views, Teacher(targets), build_pair_loss(config.objective.loss))
    progress = fit(student, lesson, config, out=out, experiment=_experiment(config, targets))
    share = config.averaging.interpolation
    student.load_state_dict(interpolated(progress.start, progress.average, share=share))
    return progress.step


def _experiment(config: StudentConfig, targets: RowCache) -> str:
    record = [config_sha256(config), targets.binding.model_dump(mode="json")]
    return sha256_of(json.dumps(record, sort_keys=True).encode())


def _initialise_head(
    student: Embedder, targets: RowCache, views: Views, config: StudentConfig, *, out: Path
) -> None:
    """The head in closed form, from the untrained backbone's rows to the teacher's."""
    shown = views.rounds(config.head.views_per_photograph)
    pooled = cached_pooled(
        out / "pooled", student, shown, spec=config.model.input, running=config.running
    )
    pairs = ((rows, targets.rows(numbers)) for numbers, rows in pooled.shards())
    solve_ridge(pairs, ridge=config.head.ridge).copy_into(student.linear)
