"""The optimiser over the weights in groups by what they are, and its rates step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lorgnette.errors import InvalidConfiguration
from training.models.embedder import Embedder
from training.optimiser_spec import Adam, AdamW, Clip, ClipValue, Optimiser, Rule
from training.schedule_spec import Cosine, Exponential, Schedule

Group = dict[str, object]


def optimiser_of(
    student: Embedder, proxies: Iterable[nn.Parameter], spec: Optimiser
) -> torch.optim.Optimizer:
    """Freeze what is to be frozen and put the rest in groups; matrices decay, vectors do not.

    proxies: what the objective learns beside the student.
    Raises `InvalidConfiguration` when the backbone has no module of a frozen name, or nothing is
    left to train.
    """
    freeze(student, spec)
    backbone, pool = list(student.backbone.parameters()), list(student.pool.parameters())
    known = {id(parameter) for parameter in (*backbone, *pool)}
    new = [parameter for parameter in student.parameters() if id(parameter) not in known]
    decay = spec.weight_decay
    groups = [
        *_groups(backbone, rate=spec.backbone_lr, decay=decay),
        *_groups(new, rate=spec.head_lr, decay=decay),
        *_groups(pool, rate=spec.gem_lr, decay=0.0),
        *_groups(proxies, rate=spec.proxies_lr or 0.0, decay=decay),
    ]
    used = [group for group in groups if group["params"]]
    if not used:
        raise InvalidConfiguration("optimiser.frozen: nothing is left to train")
    return _built(spec.rule, used)


def rate_factor(schedule: Schedule, *, step: int, steps: int, epoch: int) -> float:
    """What each learning rate is multiplied by in step `step` of `steps`, in (0, 1].

    A function of the step and its epoch alone, so that resuming needs no state.
    """
    warmup = max(1, round(schedule.warmup_share * steps))
    rising = min(1.0, (step + 1) / warmup)
    decay = schedule.decay
    if isinstance(decay, Cosine):
        if step < warmup:
            return rising
        travelled = (step - warmup) / max(1, steps - warmup)
        cosine = (1 + math.cos(math.pi * travelled)) / 2
        return decay.final_share + (1 - decay.final_share) * cosine
    if isinstance(decay, Exponential):
        return rising * float(decay.per_epoch**epoch)
    return rising * float(decay.factor ** (epoch // decay.every_epochs))


def set_rates(optimiser: Optimizer, factor: float) -> None:
    """Set each group's rate to its own base rate times the factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor


def clip(parameters: Iterable[Tensor], spec: Clip | None) -> None:
    """Limit the gradients in place."""
    if spec is None:
        return
    if isinstance(spec, ClipValue):
        nn.utils.clip_grad_value_(parameters, spec.limit)
    else:
        nn.utils.clip_grad_norm_(parameters, spec.limit)


def freeze(student: Embedder, spec: Optimiser) -> None:
    """Take the gradient from the named modules and, with `norms: frozen`, from the norms' scales.

    A scale moves a whole channel, away from what ImageNet taught it, as the statistics would.
    """
    for name in spec.frozen:
        try:
            student.backbone.get_submodule(name).requires_grad_(False)
        except AttributeError as error:
            has = ", ".join(key for key, _ in student.backbone.named_children())
            raise InvalidConfiguration(
                f"optimiser.frozen: the backbone has no module {name!r}, only {has}"
            ) from error
    if spec.norms == "frozen":
        for module in student.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.requires_grad_(False)


def _built(rule: Rule, groups: list[Group]) -> Optimizer:
    if isinstance(rule, AdamW):
        return torch.optim.AdamW(groups, betas=rule.betas, fused=True)
    if isinstance(rule, Adam):
        return torch.optim.Adam(groups, betas=rule.betas, fused=True)
    return torch.optim.SGD(
        groups, lr=0.0, momentum=rule.momentum, nesterov=rule.nesterov, fused=True
    )


def _groups(parameters: Iterable[nn.Parameter], *, rate: float, decay: float) -> list[Group]:
    trained = [p for p in parameters if p.requires_grad]
    return [
        {"params": chosen, "lr": rate, "base_lr": rate, "weight_decay": applied}
        for chosen, applied in (
            ([p for p in trained if p.ndim > 1], decay),
            ([p for p in trained if p.ndim <= 1], 0.0),
        )
    ]
