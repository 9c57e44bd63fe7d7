"""The learning rate as a function of the step alone, so that resuming needs no state."""

from __future__ import annotations

import math

from training.config import Schedule


def rate_factor(schedule: Schedule, *, step: int, steps: int) -> float:
    """What each learning rate is multiplied by in step `step` of `steps`, in (0, 1]."""
    warmup = max(1, round(schedule.warmup_share * steps))
    if step < warmup:
        return (step + 1) / warmup
    travelled = (step - warmup) / max(1, steps - warmup)
    cosine = (1 + math.cos(math.pi * travelled)) / 2
    return schedule.final_share + (1 - schedule.final_share) * cosine
