"""Everything a training needs to go on exactly where it was, in one file replaced at once."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lorgnette.errors import InvalidConfiguration
from training.averaging import State
from training.files import write_atomically


class _Record(TypedDict):
    experiment: str
    step: int
    student: State
    optimiser: dict[str, object]
    start: State
    average: State
    rng: Tensor


@dataclass
class Progress:
    """What changes while training.  step: how many steps are done."""

    student: nn.Module
    optimiser: Optimizer
    start: State
    average: State
    step: int


def save_checkpoint(path: Path, progress: Progress, *, experiment: str) -> None:
    """Write the checkpoint.  experiment: sha256 of all that must be equal to go on from it."""
    content = io.BytesIO()
    record: _Record = {
        "experiment": experiment,
        "step": progress.step,
        "student": progress.student.state_dict(),
        "optimiser": progress.optimiser.state_dict(),
        "start": progress.start,
        "average": progress.average,
        "rng": torch.get_rng_state(),
    }
    torch.save(record, content)
    write_atomically(path, content.getvalue())


def load_checkpoint(path: Path, progress: Progress, *, experiment: str) -> None:
    """Bring `progress` and torch's generator to where the checkpoint was, in place.

    The schedule is a function of the step, and batches are one of (seed, epoch, step), so they
    need no state of their own.
    Raises `InvalidConfiguration` when the file is damaged or another experiment's.
    """
    record = _read(path)
    if record["experiment"] != experiment:
        raise InvalidConfiguration(
            f"{path} is of another experiment (its configuration, photographs or teacher differ): "
            "choose another --out, or delete that file to begin anew"
        )
    progress.student.load_state_dict(record["student"])
    progress.optimiser.load_state_dict(record["optimiser"])
    progress.start, progress.average = record["start"], record["average"]
    progress.step = record["step"]
    torch.set_rng_state(record["rng"])


def _read(path: Path) -> _Record:
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    # A file that is not a checkpoint makes torch raise any of a dozen classes.
    except Exception as error:
        raise InvalidConfiguration(f"{path} is not a checkpoint ({error}): delete it") from error
    if not isinstance(record, dict) or set(record) != set(_Record.__annotations__):
        raise InvalidConfiguration(f"{path} is not a checkpoint of this version: delete it")
    return cast(_Record, record)
