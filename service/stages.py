"""What a request spends its time on: for the answer, for `Server-Timing` and for the metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from service.metrics import Metrics


class Stages:
    """What one request spends its time on, for the answer and for the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = time.perf_counter()
        self.ms: dict[str, float] = {}

    def stage(self, name: str) -> _Stage:
        """Time one stage; one that comes again adds to what it took before."""
        return _Stage(self, name)

    def add(self, name: str, took_s: float) -> None:
        """Take note of a stage, or of another part of it."""
        self._metrics.staged(name, took_s)
        self.ms[name] = round(self.ms.get(name, 0.0) + took_s * 1000, 3)

    def took_ms(self) -> float:
        """Since the request was begun."""
        return round((time.perf_counter() - self._started) * 1000, 3)

    def header(self) -> str:
        """As `Server-Timing`."""
        return ", ".join(f"{name};dur={ms}" for name, ms in self.ms.items())


class _Stage:
    # A generator's context manager takes four times as long, and each search has four of these.
    __slots__ = ("_name", "_stages", "_started")

    def __init__(self, stages: Stages, name: str) -> None:
        self._stages = stages
        self._name = name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stages.add(self._name, time.perf_counter() - self._started)


@contextmanager
def in_all(name: str, stages: Sequence[Stages]) -> Iterator[None]:
    """One stage of all of them: each waited for it as long."""
    started = time.perf_counter()
    try:
        yield
    finally:
        took_s = time.perf_counter() - started
        for own in stages:
            own.add(name, took_s)
