"""How far a long task has come, in one shape for the terminal and for job rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """done and total count photographs; rate: per second, None before the first; eta_s: seconds."""

    stage: str
    done: int
    total: int
    rate: float | None
    eta_s: float | None


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Report to nobody."""


class Meter:
    """Counts one stage and reports every step of it."""

    def __init__(self, report: Report, *, stage: str, total: int) -> None:
        self._report = report
        self._stage = stage
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        if total:
            report(Progress(stage=stage, done=0, total=total, rate=None, eta_s=None))

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        rate = self._done / max(time.monotonic() - self._started, 1e-9)
        self._report(
            Progress(
                stage=self._stage,
                done=self._done,
                total=self._total,
                rate=rate,
                eta_s=(self._total - self._done) / rate,
            )
        )
