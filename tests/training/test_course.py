"""Steps, epochs, sizes and accumulation, without a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from tests.training.tiny_experiment import STUDENT
from training.course import Course
from training.data.choice import Choice, Images
from training.data.loader import everything
from training.schedule_spec import Schedule


class Seven:
    """Seven batches an epoch; batch b of epoch e shows the views 10 e + b."""

    def __len__(self) -> int:
        return 7

    def mine(self, epoch: int) -> None:
        """Nothing."""

    def choices(self, epoch: int, mined: NDArray[np.int64] | None) -> Sequence[Choice]:
        return [Images(np.array([10 * epoch + b]), aspect=1.0) for b in range(7)]


def _course(**changes: Any) -> Course:
    schedule = Schedule.model_validate_json(json.dumps(STUDENT["schedule"] | changes))
    return Course(Seven(), schedule, everything)


def _shown(course: Course, step: int) -> list[int]:
    orders = course.orders(step=step, mined=None)
    return [int(order.choice.layout().images[0]) for order in orders]


def test_epochs_are_counted_in_updates_and_leftover_batches_are_not_used() -> None:
    course = _course(steps=None, epochs=2, accumulate=2)
    assert (course.per_epoch, course.steps) == (3, 6)
    assert _shown(course, 0) == [0, 1, 2, 3, 4, 5]
    assert _shown(course, 3) == [10, 11, 12, 13, 14, 15]


def test_an_epoch_is_entered_where_it_was_left() -> None:
    assert _shown(_course(steps=None, epochs=2, accumulate=2), 4) == [12, 13, 14, 15]
    assert _shown(_course(steps=9), 5) == [5, 6]


def test_the_last_epoch_ends_with_the_last_step() -> None:
    assert _shown(_course(steps=9), 7) == [10, 11]


def test_the_size_changes_where_its_share_of_the_steps_ends() -> None:
    sizes = [{"size_px": 24, "until": 0.5}, {"size_px": 32, "until": 1.0}]
    course = _course(steps=6, sizes=sizes)
    assert [o.size_px for o in course.orders(step=0, mined=None)] == [24, 24, 24, 32, 32, 32]
    assert [o.size_px for o in course.orders(step=2, mined=None)] == [24, 32, 32, 32]


def test_all_batches_of_an_update_have_one_size() -> None:
    sizes = [{"size_px": 24, "until": 0.34}, {"size_px": 32, "until": 1.0}]
    course = _course(steps=3, sizes=sizes, accumulate=2)
    assert [o.size_px for o in course.orders(step=0, mined=None)] == [24, 24, 24, 24, 32, 32]


def test_fewer_batches_than_an_update_takes_is_too_small_a_data_set() -> None:
    with pytest.raises(InvalidConfiguration, match="too small: an epoch has 7 batches"):
        _course(accumulate=8)
