"""A loss or gradient that is no number stops the training and says what it saw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from lorgnette.errors import InvalidConfiguration
from training.data.loader import Batch, Views

NAMED = 3
"""Photographs named of a batch; the view numbers say which the others are."""

SMALLEST_SCALE = 2.0**-10
"""Of a loss in float16: still overflowing below it, the gradient is too large for any."""


def require_finite_loss(loss: float, batch: Batch, views: Views, *, step: int) -> None:
    """Raises `InvalidConfiguration` naming the step and the batch."""
    if not math.isfinite(loss):
        raise InvalidConfiguration(f"step {step}: the loss is {loss}. {_seen([batch], views)}")


def require_finite_gradient(
    norm: float, batches: Sequence[Batch], views: Views, scaler: GradScaler, *, step: int
) -> None:
    """Raises `InvalidConfiguration` naming the step and the batches.

    In float16 a gradient may overflow: the scaler skips the step and halves its scale, which is
    no error until the scale is small.
    """
    if math.isfinite(norm):
        return
    if scaler.is_enabled() and scaler.get_scale() > SMALLEST_SCALE:
        return
    raise InvalidConfiguration(f"step {step}: the gradient is {norm}. {_seen(batches, views)}")


def gradient_norm(parameters: Iterable[nn.Parameter]) -> float:
    """Euclidean, of all gradients together."""
    gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
    return float(nn.utils.get_total_norm(gradients)) if gradients else 0.0


def _seen(batches: Sequence[Batch], views: Views) -> str:
    numbers = torch.cat([batch.who.ids for batch in batches]).tolist()
    paths = views.photographs.paths
    shown: list[Path] = [paths[number % len(paths)] for number in numbers[:NAMED]]
    return (
        f"It must be finite. The batch: views {numbers}, of {', '.join(map(str, shown))}, ... "
        "Look at these photographs, lower the learning rates or clip the gradient (optimiser.clip),"
        " and begin anew in another --out; the last good checkpoint is kept"
    )
