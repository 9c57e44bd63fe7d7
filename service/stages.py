"""What a request spends its time on: for the answer, for `Server-Timing` and for the metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from service.metrics import Metrics


class Stages:
    """What one request spends its time on, for the answer and for the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = time.perf_counter()
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; one that comes again adds to what it took before."""
        started = time.perf_counter()
        with self._metrics.stage(name):
            yield
        took_ms = (time.perf_counter() - started) * 1000
        self.ms[name] = round(self.ms.get(name, 0.0) + took_ms, 3)

    def took_ms(self) -> float:
        """Since the request was begun."""
        return round((time.perf_counter() - self._started) * 1000, 3)

    def header(self) -> str:
        """As `Server-Timing`."""
        return ", ".join(f"{name};dur={ms}" for name, ms in self.ms.items())


@contextmanager
def in_all(name: str, stages: Sequence[Stages]) -> Iterator[None]:
    """One stage of all of them: each waited for it as long."""
    with ExitStack() as stack:
        for own in stages:
            stack.enter_context(own.stage(name))
        yield
