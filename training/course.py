"""Which batches a training takes, in which order: steps, epochs, sizes, accumulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from training.data.loader import Order
from training.data.sampler import Sampler
from training.schedule_spec import Schedule


@dataclass(frozen=True)
class Course:
    """An update takes `schedule.accumulate` batches; what an epoch has left over is not used.

    share: which of a batch's images this process renders.
    """

    sampler: Sampler
    schedule: Schedule
    share: Callable[[int], slice]

    def __post_init__(self) -> None:
        if len(self.sampler) < self.schedule.accumulate:
            raise InvalidConfiguration(
                f"the data set is too small: an epoch has {len(self.sampler)} batches, and an "
                f"update takes {self.schedule.accumulate} (schedule.accumulate): give more "
                "photographs, smaller batches or a smaller accumulate"
            )

    @property
    def per_epoch(self) -> int:
        """Updates in an epoch."""
        return len(self.sampler) // self.schedule.accumulate

    @property
    def steps(self) -> int:
        """Updates in all."""
        if self.schedule.steps is not None:
            return self.schedule.steps
        assert self.schedule.epochs is not None
        return self.schedule.epochs * self.per_epoch

    def orders(self, *, step: int, mined: NDArray[np.int64] | None) -> list[Order]:
        """The batches of this update and of those that follow it in its epoch."""
        epoch, first = divmod(step, self.per_epoch)
        last = min(self.per_epoch, self.steps - epoch * self.per_epoch)
        accumulate = self.schedule.accumulate
        choices = self.sampler.choices(epoch, mined)[first * accumulate : last * accumulate]
        return [
            Order(choice, self._size_px(step + number // accumulate), self.share)
            for number, choice in enumerate(choices)
        ]

    def _size_px(self, step: int) -> int:
        sizes = self.schedule.sizes
        return next(phase.size_px for phase in sizes if step < phase.until * self.steps)
