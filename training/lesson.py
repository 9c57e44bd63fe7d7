"""What a network learns from: the views, the objective's terms, and the course of the batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lorgnette.vectors import Vectors
from training.config import TrainConfig
from training.course import Course
from training.data.loader import Views, everything
from training.data.row_cache import RowCache
from training.data.sampler import build_sampler
from training.data.shapes import shapes_of
from training.data.specs import MinedTuplesSampling
from training.distributed import share
from training.embed import embedded_photographs, rows_by
from training.embedded import Term
from training.models.embedder import Embedder
from training.objective import build_objective
from training.runtime import Place


@dataclass(frozen=True)
class Lesson:
    """What is learned from.

    terms: of the objective.  modules: what of them is learned or kept with the student.
    course: which batches, in which order.
    """

    views: Views
    terms: Sequence[Term]
    modules: nn.Module
    course: Course


def lesson_of(
    student: Embedder, views: Views, targets: RowCache | None, config: TrainConfig, *, place: Place
) -> Lesson:
    """Build what the configuration names, on the student's device.

    targets: the teacher's rows of the views, or None.  Raises `InvalidConfiguration` when data,
    sampling and objective do not fit each other.
    """
    seed = config.schedule.seed
    objective = build_objective(
        config.objective,
        cache=targets,
        classes=len(views.photographs.listing.classes),
        dim=config.model.dim,
        seed=seed,
    )
    sampler = build_sampler(
        config.sampling,
        views,
        seed=seed,
        student=_eyes(student, views, config),
        teacher=targets,
    )
    course = Course(sampler, config.schedule, share if place.ranks > 1 else everything)
    modules = objective.modules.to(next(student.parameters()).device)
    return Lesson(views, objective.terms, modules, course)


def _eyes(
    student: Embedder, views: Views, config: TrainConfig
) -> Callable[[NDArray[np.int64]], Vectors]:
    """Rows of whole photographs by number, from the student as it is when asked: to mine with."""
    sampling = config.sampling
    aspects = sampling.aspects if isinstance(sampling, MinedTuplesSampling) else (1.0,)
    shapes = shapes_of(views.photographs.paths, aspects)

    def embed(numbers: NDArray[np.int64]) -> Vectors:
        return embedded_photographs(
            rows_by(copy.deepcopy(student).eval()),
            views,
            numbers,
            shapes=shapes,
            size_px=config.model.input.size_px,
            running=config.running,
        )

    return embed
