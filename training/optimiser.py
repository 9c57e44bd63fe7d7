"""AdamW over a student's weights, in groups by what they are, and its rates step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW, Optimizer

from lorgnette.errors import InvalidConfiguration
from training.config import Optimiser, Schedule
from training.models.embedder import Embedder


def adamw(student: Embedder, spec: Optimiser) -> AdamW:
    """Freeze what is to be frozen and put the rest in groups; matrices decay, vectors do not.

    Beside the named modules, the scales of the backbone's batch norms are frozen: their
    statistics are too, and a scale moves a whole channel, away from what ImageNet taught it.
    Raises `InvalidConfiguration` when the backbone has no module of a frozen name.
    """
    _freeze(student, spec.frozen)
    for module in student.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.requires_grad_(False)
    groups = [
        *_groups(student.backbone.parameters(), rate=spec.backbone_lr, decay=spec.weight_decay),
        *_groups(student.head.parameters(), rate=spec.head_lr, decay=spec.weight_decay),
        *_groups(student.pool.parameters(), rate=spec.gem_lr, decay=0.0),
    ]
    used = [group for group in groups if group["params"]]
    return AdamW(used, betas=spec.betas, fused=True)


def rate_factor(schedule: Schedule, *, step: int, steps: int) -> float:
    """What each learning rate is multiplied by in step `step` of `steps`, in (0, 1].

    A function of the step alone, so that resuming needs no state.
    """
    warmup = max(1, round(schedule.warmup_share * steps))
    if step < warmup:
        return (step + 1) / warmup
    travelled = (step - warmup) / max(1, steps - warmup)
    cosine = (1 + math.cos(math.pi * travelled)) / 2
    return schedule.final_share + (1 - schedule.final_share) * cosine


def set_rates(optimiser: Optimizer, factor: float) -> None:
    """Set each group's rate to its own base rate times the factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor


def _freeze(student: Embedder, names: Iterable[str]) -> None:
    for name in names:
        try:
            student.backbone.get_submodule(name).requires_grad_(False)
        except AttributeError as error:
            has = ", ".join(key for key, _ in student.backbone.named_children())
            raise InvalidConfiguration(
                f"optimiser.frozen: the backbone has no module {name!r}, only {has}"
            ) from error


def _groups(
    parameters: Iterable[nn.Parameter], *, rate: float, decay: float
) -> list[dict[str, object]]:
    trained = [p for p in parameters if p.requires_grad]
    return [
        {"params": chosen, "lr": rate, "base_lr": rate, "weight_decay": applied}
        for chosen, applied in (
            ([p for p in trained if p.ndim > 1], decay),
            ([p for p in trained if p.ndim <= 1], 0.0),
        )
    ]
