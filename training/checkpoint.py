"""Everything a training needs to go on exactly where it was, in one file replaced at once."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from lorgnette.errors import InvalidConfiguration
from training.averaging import Average, State
from training.files import write_atomically
from training.models.embedder import Embedder


@dataclass
class Best:
    """The best model so far.  score: of the validation.  step: how many steps it had."""

    score: float
    step: int
    weights: State


@dataclass
class Progress:
    """What changes while training.

    step: how many steps are done.  objective: what it learns and keeps (proxies, codebooks).
    mined: what the sampler mined with the weights of the current epoch's beginning, if it mines.
    """

    student: Embedder
    objective: nn.Module
    optimiser: Optimizer
    scaler: GradScaler
    average: Average | None
    best: Best | None
    mined: Tensor | None
    step: int


class _Record(TypedDict):
    experiment: str
    step: int
    student: State
    objective: State
    optimiser: dict[str, object]
    scaler: dict[str, object]
    average: tuple[State, State] | None
    best: tuple[float, int, State] | None
    mined: Tensor | None
    rng: Tensor
    device_rng: Tensor | None


def save_checkpoint(path: Path, progress: Progress, *, experiment: str) -> None:
    """Write the checkpoint.  experiment: sha256 of all that must be equal to go on from it."""
    content = io.BytesIO()
    average, best = progress.average, progress.best
    record: _Record = {
        "experiment": experiment,
        "step": progress.step,
        "student": progress.student.state_dict(),
        "objective": progress.objective.state_dict(),
        "optimiser": progress.optimiser.state_dict(),
        "scaler": progress.scaler.state_dict(),
        "average": (average.start, average.now) if average else None,
        "best": (best.score, best.step, best.weights) if best else None,
        "mined": progress.mined,
        "rng": torch.get_rng_state(),
        "device_rng": torch.cuda.get_rng_state() if _is_on_gpu(progress) else None,
    }
    torch.save(record, content)
    write_atomically(path, content.getvalue())


def load_checkpoint(path: Path, progress: Progress, *, experiment: str) -> None:
    """Bring `progress` and torch's generator to where the checkpoint was, in place.

    The schedule is a function of the step, and batches are one of (seed, epoch, step), so they
    need no state of their own.
    Raises `InvalidConfiguration` when the file is damaged or another experiment's.
    """
    device = next(progress.student.parameters()).device
    record = _read(path, device)
    if record["experiment"] != experiment:
        raise InvalidConfiguration(
            f"{path} is of another experiment (its configuration, photographs or teacher differ): "
            "choose another --out, or delete that file to begin anew"
        )
    progress.student.load_state_dict(record["student"])
    progress.objective.load_state_dict(record["objective"])
    progress.optimiser.load_state_dict(record["optimiser"])
    progress.scaler.load_state_dict(record["scaler"])
    progress.average = Average(*record["average"]) if record["average"] else None
    progress.best = Best(*record["best"]) if record["best"] else None
    progress.mined, progress.step = record["mined"], record["step"]
    torch.set_rng_state(record["rng"].cpu())
    if record["device_rng"] is not None and _is_on_gpu(progress):
        torch.cuda.set_rng_state(record["device_rng"].cpu())


def _is_on_gpu(progress: Progress) -> bool:
    return next(progress.student.parameters()).is_cuda


def _read(path: Path, device: torch.device) -> _Record:
    try:
        record = torch.load(path, map_location=device, weights_only=True)
    # A file that is not a checkpoint makes torch raise any of a dozen classes.
    except Exception as error:
        # Nor is what it says shown: torch advises to load it unsafely.
        raise InvalidConfiguration(
            f"{path} is not a checkpoint, or is damaged: delete it to begin anew"
        ) from error
    if not isinstance(record, dict) or set(record) != set(_Record.__annotations__):
        raise InvalidConfiguration(
            f"{path} is not a checkpoint of this version: delete it to begin anew"
        )
    return cast(_Record, record)
