"""Training one network: a student in its teacher's space, or a model that makes its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from lorgnette.errors import InvalidConfiguration
from training.averaging import State
from training.checkpoint import Progress, load_checkpoint
from training.closing import closed
from training.config import TrainConfig, config_sha256, save_resolved
from training.data.loader import Views
from training.data.row_cache import RowCache, shared_place
from training.embed import Home, cached_embeddings, cached_pooled
from training.files import sha256_of
from training.frozen_stages import mapped
from training.head import solve_ridge
from training.lesson import lesson_of
from training.loop import CHECKPOINT_NAME, Desk, begin, fit
from training.material import Material, material_of
from training.metrics import open_log
from training.models.embedder import Embedder
from training.models.pretrained import pretrained
from training.provenance import git_commit, spec_of
from training.runtime import Place, first_alone, spread
from training.space import space_of
from training.teacher_encoder import TeacherEncoder, open_teacher
from training.trained_model import ModelSpec, save_model
from training.validation import open_judge

KEPT_NAME = "kept"


@dataclass(frozen=True)
class Kept:
    """What does not change while training is kept in `shared`, for other runs too.

    shared: None: in the run's own directory.  has_maps: whether the maps of the frozen stages are
    kept as well, and training begins there (`training.frozen_stages`): the same weights, but for
    rounding.
    """

    shared: Path | None
    has_maps: bool


OWN = Kept(shared=None, has_maps=False)


@dataclass(frozen=True)
class Making:
    """A run: of what, from where, to where.

    teacher: for the role `query`.  weights: origin of the pretrained ones.  commit, command:
    recorded with the model.  kept: where rows are.
    """

    config: TrainConfig
    out: Path
    place: Place
    teacher: TeacherEncoder | None
    material: Material
    weights: str
    commit: str
    command: str
    kept: Kept

    def home(self, name: str) -> Home:
        """Where the rows called `name` are kept."""
        shared = self.kept.shared
        if shared is None:
            return lambda _: self.out / name
        return lambda binding: shared_place(shared, binding)


def make_student(
    config: TrainConfig,
    *,
    root: Path,
    teacher: Path | None,
    out: Path,
    command: str,
    place: Place,
    kept: Kept = OWN,
    material: Material | None = None,
) -> ModelSpec:
    """Cache the teacher's rows, solve the head, train the whole, save the model into `out`.

    root: the folder the sources are relative to.  teacher: a trained teacher or its bundle, for
    the role `query` alone.  kept: where what does not change is kept.  material: what the
    configuration names below root, if it was found already.  Interrupted, the same call goes on
    where it was.  Raises typed errors for all that is wrong.
    """
    encoder = _opened(config, teacher, place)
    material = material or material_of(config, root)
    student, weights = pretrained(config.model)
    commit = git_commit()
    making = Making(config, out, place, encoder, material, weights, commit, command, kept)
    if place.is_first:
        save_resolved(config, out / "config.json", git_commit=commit)
    progress, final = _trained(student, making)
    student.load_state_dict(final)
    if config.whitening is not None and material.whitening is not None:
        student = closed(
            student,
            config.whitening,
            material.whitening,
            running=config.running,
            out=out,
            place=place,
        )
    return _saved(student.cpu(), out, making, _figures(progress))


def _opened(config: TrainConfig, teacher: Path | None, place: Place) -> TeacherEncoder | None:
    if config.role == "gallery":
        if teacher is not None:
            raise InvalidConfiguration(
                f"{config.name} is a gallery model, which makes its own space: leave --teacher out"
            )
        return None
    if teacher is None:
        raise InvalidConfiguration(
            f"{config.name} is a query model, which learns a teacher's space: give --teacher the "
            "--out of `lorgnette whiten` or of a gallery model's training, or a bundle"
        )
    threads, device = config.running.threads, place.device
    return open_teacher(teacher, dim=config.model.dim, threads=threads, device=device)


def _trained(student: Embedder, making: Making) -> tuple[Progress, State]:
    """Train the student; where it got, and the weights to save."""
    config, out, place, views = making.config, making.out, making.place, making.material.views
    student.to(place.device)
    targets = _targets(student, making)
    if making.kept.has_maps:
        with first_alone(place):
            views = mapped(views, student, config, directory=making.kept.shared or out / "maps")
    lesson = lesson_of(student, views, targets, config, place=place)
    spread(student, place)
    spread(lesson.modules, place)
    experiment = _experiment(config, views, targets)
    progress = begin(student, lesson, config)
    if (out / CHECKPOINT_NAME).exists():
        load_checkpoint(out / CHECKPOINT_NAME, progress, experiment=experiment)
    desk = _desk(student, making, progress, experiment)
    try:
        return progress, fit(progress, lesson, config, desk)
    finally:
        if desk.log is not None:
            desk.log.close()


def _targets(student: Embedder, making: Making) -> RowCache | None:
    """The teacher's rows of the views, if there is one, and the head in closed form from them."""
    config, views, teacher = making.config, making.material.views, making.teacher
    if teacher is None:
        return None
    with first_alone(making.place):
        targets = cached_embeddings(making.home("teacher"), teacher, views, running=config.running)
        if config.head is None:
            return targets
        shown = views.rounds(config.head.views_per_photograph)
        pooled = cached_pooled(
            making.home("pooled"), student, shown, spec=config.model.input, running=config.running
        )
    pairs = ((rows, targets.rows(numbers)) for numbers, rows in pooled.shards())
    solve_ridge(pairs, ridge=config.head.ridge).copy_into(student.linear)
    return targets


def _experiment(config: TrainConfig, views: Views, targets: RowCache | None) -> str:
    taught = None if targets is None else targets.binding.model_dump(mode="json")
    record = [config_sha256(config), views.photographs.sha256, taught]
    return sha256_of(json.dumps(record, sort_keys=True).encode())


def _desk(student: Embedder, making: Making, progress: Progress, experiment: str) -> Desk:
    config, place = making.config, making.place
    log = judge = None
    if place.is_first:
        log = open_log(making.out, step=progress.step, tensorboard=config.running.tensorboard)
        if config.validation is not None and making.material.held_out is not None:
            teacher = making.teacher if config.validation.pairing == "asymmetric" else None
            batch_size = config.running.batch_size
            judge = open_judge(making.material.held_out, student, teacher, batch_size=batch_size)

    def keep(weights: State, step: int) -> None:
        kept = Embedder(config.model)
        kept.load_state_dict(weights)
        _saved(kept, making.out / KEPT_NAME / f"{step:08d}", making, {"steps": step})

    return Desk(making.out, experiment, log, place, judge, keep)


def _figures(progress: Progress) -> dict[str, JsonValue]:
    if progress.best is None:
        return {"steps": progress.step}
    return {"steps": progress.best.step, "val_map": progress.best.score}


def _saved(
    model: Embedder, directory: Path, making: Making, figures: dict[str, JsonValue]
) -> ModelSpec:
    """Describe the model and, in the first process, write it."""
    config, views = making.config, making.material.views
    space = (
        making.teacher.space
        if making.teacher is not None
        else space_of(model, name=config.name, spec=config.model.input)
    )
    spec = spec_of(
        config,
        role=config.role,
        network=model.network,
        space=space,
        commit=making.commit,
        command=making.command,
        weights=making.weights,
        metrics={"photographs": len(views.photographs.paths), "views": len(views)} | figures,
    )
    if making.place.is_first:
        save_model(directory, model, spec)
    return spec
