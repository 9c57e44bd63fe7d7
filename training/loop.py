"""From the first step to the last: rate, step, update, average, log, checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import torch
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import InputSpec
from training.averaging import average_into, copied
from training.checkpoint import Progress, load_checkpoint, save_checkpoint
from training.config import Schedule, StudentConfig
from training.data.augment import normalise
from training.data.choice import Images
from training.data.loader import Batch, Order, Views, batches, shuffled
from training.losses.pair import PairLoss
from training.metrics import keep_lines_before, log_line
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.optimiser import adamw, rate_factor, set_rates
from training.others import Others
from training.progress import progress_bar
from training.step import step

CHECKPOINT_NAME = "checkpoint.pt"
METRICS_NAME = "metrics.jsonl"
LOG_EVERY_STEPS = 10


@dataclass(frozen=True)
class Lesson:
    """What is learned from: the views, who embeds the columns, and the loss."""

    views: Views
    others: Others
    loss: PairLoss


@dataclass(frozen=True)
class Measures:
    """Of one step.  rate: factor of the learning rates.  gradient: its norm, all weights."""

    loss: float
    rate: float
    gradient: float
    seconds: float


class Prepared(nn.Module):
    """A network that takes images as they are stored: uint8 `[N, 3, S, S]`."""

    def __init__(self, network: Embedder, spec: InputSpec) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.spec = spec

    def forward(self, images: Tensor) -> Tensor:
        """Returns unit rows `[N, D]`."""
        rows: Tensor = self.network(normalise(images, self.spec))
        return rows


def fit(
    student: Embedder, lesson: Lesson, config: StudentConfig, *, out: Path, experiment: str
) -> Progress:
    """Train the student in place, going on from `out/checkpoint.pt` if it is there.

    experiment: sha256 of all that must be equal to go on.  Batch norm keeps its statistics.
    Raises `InvalidConfiguration` when the loss or the gradient stops being a number.
    """
    start = copied(student)
    progress = Progress(student, adamw(student, config.optimiser), start, copied(student), step=0)
    if (out / CHECKPOINT_NAME).exists():
        load_checkpoint(out / CHECKPOINT_NAME, progress, experiment=experiment)
    keep_lines_before(out / METRICS_NAME, step=progress.step)
    steps = config.schedule.steps
    plan = islice(_plan(config.schedule, len(lesson.views)), progress.step, steps)
    network = Prepared(with_frozen_norms(student), config.model.input)
    with progress_bar() as bar:
        task = bar.add_task("training", total=steps, completed=progress.step)
        for batch in batches(lesson.views, plan):
            measures = _update(progress, network, batch, lesson, config, steps=steps)
            if progress.step % LOG_EVERY_STEPS == 0 or progress.step == steps - 1:
                _log(out / METRICS_NAME, measures, progress.step, views=len(batch.images))
                bar.update(task, description=f"training, loss {measures.loss:.4f}")
            progress.step += 1
            bar.advance(task)
            if progress.step % config.schedule.checkpoint_every_steps == 0:
                save_checkpoint(out / CHECKPOINT_NAME, progress, experiment=experiment)
    save_checkpoint(out / CHECKPOINT_NAME, progress, experiment=experiment)
    return progress


def _plan(schedule: Schedule, views: int) -> Iterator[Order]:
    """Epoch after epoch of shuffled views, for ever; the caller takes `schedule.steps`."""
    number = 0
    for epoch in count():
        for numbers in shuffled(
            views, batch_size=schedule.batch_size, seed=schedule.seed, epoch=epoch
        ):
            phase = next(p for p in schedule.sizes if number < p.until * schedule.steps)
            yield Order(Images(numbers, aspect=1), phase.size_px)
            number += 1


def _update(
    progress: Progress,
    network: Prepared,
    batch: Batch,
    lesson: Lesson,
    config: StudentConfig,
    *,
    steps: int,
) -> Measures:
    """One step of the optimiser and of the average.  network shares the student's weights."""
    started = time.perf_counter()
    rate = rate_factor(config.schedule, step=progress.step, steps=steps)
    set_rates(progress.optimiser, rate)
    progress.optimiser.zero_grad(set_to_none=True)
    value = step(
        batch,
        student=network,
        others=lesson.others,
        loss=lesson.loss,
        self_pair=config.objective.self_pair,
    ).item()
    norm = _gradient_norm(progress.student)
    _require_finite(value, norm, number=progress.step)
    progress.optimiser.step()
    average_into(
        progress.average, progress.student, decay=config.averaging.decay, step=progress.step
    )
    return Measures(value, rate, norm, time.perf_counter() - started)


def _gradient_norm(network: nn.Module) -> float:
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return float(nn.utils.get_total_norm(gradients))


def _require_finite(loss: float, norm: float, *, number: int) -> None:
    if not math.isfinite(loss + norm):
        raise InvalidConfiguration(
            f"step {number}: loss {loss}, gradient norm {norm}, both must be finite: "
            "lower the learning rates, delete the checkpoint and begin anew"
        )


def _log(path: Path, measures: Measures, number: int, *, views: int) -> None:
    log_line(
        path,
        step=number,
        loss=measures.loss,
        lr_factor=measures.rate,
        grad_norm=measures.gradient,
        seconds=measures.seconds,
        views_per_s=views / measures.seconds,
    )
