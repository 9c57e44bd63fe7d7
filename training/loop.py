"""From the first step to the last: rate, step, update, average, log, judge, checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.amp import GradScaler

from training.averaging import Average, State, average_into, copied, interpolated
from training.checkpoint import Best, Progress, save_checkpoint
from training.config import TrainConfig
from training.course import Course
from training.data.loader import Batch, batches
from training.distributed import average_gradients
from training.divergence import gradient_norm, require_finite_gradient, require_finite_loss
from training.frozen_stages import MappedViews, after_frozen
from training.lesson import Lesson
from training.metrics import Log
from training.models.embedder import Embedder
from training.optimiser import clip, optimiser_of, rate_factor, set_rates
from training.pairs import Identity
from training.prepared import Prepared, trained_view
from training.progress import progress_bar
from training.runtime import Place, agreed
from training.step import step

CHECKPOINT_NAME = "checkpoint.pt"
LOG_EVERY_STEPS = 10


@dataclass(frozen=True)
class Desk:
    """Where a run writes, and what it does along its way.

    experiment: sha256 of all that must be equal to go on from a checkpoint.  log: of the first
    process alone.  judge: scores weights, or None.  keep: saves weights that had so many steps.
    """

    out: Path
    experiment: str
    log: Log | None
    place: Place
    judge: Callable[[State], float] | None
    keep: Callable[[State, int], None]


@dataclass(frozen=True)
class Measures:
    """Of one step.  rate: factor of the learning rates.  gradient: its norm, all weights."""

    loss: float
    rate: float
    gradient: float
    seconds: float
    views: int


def begin(student: Embedder, lesson: Lesson, config: TrainConfig) -> Progress:
    """The state before the first step, and torch's generator seeded for dropout."""
    torch.manual_seed(config.schedule.seed)
    device = next(student.parameters()).device
    learned = [p for p in lesson.modules.parameters() if p.requires_grad]
    return Progress(
        student=student,
        objective=lesson.modules,
        optimiser=optimiser_of(student, learned, config.optimiser),
        scaler=GradScaler(device.type, enabled=config.running.amp == "fp16"),
        average=Average(copied(student), copied(student)) if config.averaging else None,
        best=None,
        mined=None,
        step=0,
    )


def fit(progress: Progress, lesson: Lesson, config: TrainConfig, desk: Desk) -> State:
    """Train in place from where `progress` is, and return the weights to save.

    They are the best judged ones, or the averaged ones, or the last.
    Raises `InvalidConfiguration` when the loss or the gradient stops being a number.
    """
    view = trained_view(progress.student, config.optimiser)
    if isinstance(lesson.views, MappedViews):
        view = after_frozen(view, config.optimiser.frozen)
    network = Prepared(view, config.model.input, config.running.amp)
    schedule, steps = config.schedule, lesson.course.steps
    with progress_bar() as bar:
        task = bar.add_task("training", total=steps, completed=progress.step)
        for group in _groups(progress, lesson, config, desk):
            measures = _update(progress, network, group, lesson, config)
            if progress.step % LOG_EVERY_STEPS == 0 or progress.step == steps - 1:
                _log(desk, measures, progress.step, lesson.course)
                bar.update(task, description=f"training, loss {measures.loss:.4f}")
            progress.step += 1
            bar.advance(task)
            _stop_by(progress, config, desk, is_last=progress.step == steps)
            if progress.step % schedule.checkpoint_every_steps == 0:
                _save(progress, desk)
    _save(progress, desk)
    return progress.best.weights if progress.best else weights_of(progress, config)


def weights_of(progress: Progress, config: TrainConfig) -> State:
    """What would be saved now: the average, brought back towards the start, or the student."""
    if progress.average is None or config.averaging is None:
        return copied(progress.student)
    share = config.averaging.interpolation
    return interpolated(progress.average.start, progress.average.now, share=share)


def _groups(
    progress: Progress, lesson: Lesson, config: TrainConfig, desk: Desk
) -> Iterator[list[Batch]]:
    """The batches of each update, epoch after epoch; mined anew when an epoch begins."""
    course = lesson.course
    while progress.step < course.steps:
        epoch, done = divmod(progress.step, course.per_epoch)
        if done == 0:
            mined = agreed(course.sampler.mine(epoch), desk.place)
            progress.mined = None if mined is None else torch.from_numpy(mined)
        kept = None if progress.mined is None else progress.mined.numpy()
        orders = course.orders(step=progress.step, mined=kept)
        rendered = batches(lesson.views, orders, threads=config.running.threads)
        while group := list(islice(rendered, config.schedule.accumulate)):
            yield group


def _update(
    progress: Progress,
    network: Prepared,
    group: Sequence[Batch],
    lesson: Lesson,
    config: TrainConfig,
) -> Measures:
    """One step of the optimiser and of the average.  network shares the student's weights."""
    started, number, course = time.perf_counter(), progress.step, lesson.course
    epoch = number // course.per_epoch
    rate = rate_factor(config.schedule, step=number, steps=course.steps, epoch=epoch)
    set_rates(progress.optimiser, rate)
    progress.optimiser.zero_grad(set_to_none=True)
    losses = [
        _backward(progress, network, batch, lesson, config, place=place)
        for place, batch in enumerate(group)
    ]
    if epoch < config.schedule.head_only_epochs:
        for parameter in network.network.backbone.parameters():
            parameter.grad = None
    norm = _stepped(progress, group, lesson, config)
    if progress.average and config.averaging:
        decay = config.averaging.decay
        average_into(progress.average.now, progress.student, decay=decay, step=number)
    views = sum(len(batch.who.ids) for batch in group)
    return Measures(sum(losses) / len(losses), rate, norm, time.perf_counter() - started, views)


def _backward(
    progress: Progress,
    network: Prepared,
    batch: Batch,
    lesson: Lesson,
    config: TrainConfig,
    *,
    place: int,
) -> float:
    """Add one batch's gradient, its share of the update's; return its loss.

    place: of the batch in its update.
    """
    schedule, number = config.schedule, progress.step
    loss = step(
        _moved(batch, next(progress.student.parameters()).device),
        student=network,
        terms=lesson.terms,
        random=np.random.default_rng((schedule.seed, number, place)),
        scaled=lambda value: progress.scaler.scale(value) / schedule.accumulate,
    ).item()
    require_finite_loss(loss, batch, lesson.views, step=number)
    return loss


def _stepped(
    progress: Progress, group: Sequence[Batch], lesson: Lesson, config: TrainConfig
) -> float:
    """Move the weights by their gradients; return the norm these had before any clipping."""
    optimiser, scaler = progress.optimiser, progress.scaler
    parameters = [p for part in optimiser.param_groups for p in part["params"]]
    # Before unscaling, so that all processes see the same overflow and skip the same step.
    average_gradients(parameters)
    scaler.unscale_(optimiser)
    norm = gradient_norm(parameters)
    require_finite_gradient(norm, group, lesson.views, scaler, step=progress.step)
    # Not scaler.step: fused SGD that skips its first step goes on from an uninitialised momentum.
    if math.isfinite(norm):
        clip(parameters, config.optimiser.clip)
        optimiser.step()
    scaler.update()
    return norm


def _moved(batch: Batch, device: torch.device) -> Batch:
    def there(who: Identity) -> Identity:
        return Identity(who.ids.to(device), who.labels.to(device))

    return Batch(
        images=batch.images.to(device),
        who=there(batch.who),
        anchors=batch.anchors.to(device),
        others=there(batch.others),
        used=batch.used.to(device),
    )


def _log(desk: Desk, measures: Measures, number: int, course: Course) -> None:
    if desk.log is not None:
        desk.log.write(
            number,
            epoch=number // course.per_epoch,
            loss=measures.loss,
            lr_factor=measures.rate,
            grad_norm=measures.gradient,
            seconds=measures.seconds,
            views_per_s=measures.views / measures.seconds,
        )


def _stop_by(progress: Progress, config: TrainConfig, desk: Desk, *, is_last: bool) -> None:
    """Judge and keep the model where the configuration wants it."""
    if desk.log is None:
        return
    done, validation, every = progress.step, config.validation, config.schedule.keep_every_steps
    if every is not None and done % every == 0:
        desk.keep(weights_of(progress, config), done)
    if desk.judge and validation and (is_last or done % validation.every_steps == 0):
        weights = weights_of(progress, config)
        score = desk.judge(weights)
        desk.log.write(done - 1, val_map=score)
        if progress.best is None or score > progress.best.score:
            progress.best = Best(score, done, weights)


def _save(progress: Progress, desk: Desk) -> None:
    if desk.place.is_first:
        save_checkpoint(desk.out / CHECKPOINT_NAME, progress, experiment=desk.experiment)
