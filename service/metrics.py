"""What Prometheus reads at `/metrics`: counted as it happens, or looked up when it asks.

With several workers each counts in files of `PROMETHEUS_MULTIPROC_DIR`, and whichever is asked
answers for all of them; what is looked up is the same in every worker.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from lorgnette.errors import LorgnetteError, SpaceMismatch, TooManyRequests
from lorgnette.vectors import NonFiniteVector
from service.counters import MULTIPROCESS_VARIABLE

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SCORES = tuple(n / 20 for n in range(-4, 21))
_TENTHS = tuple(n / 10 for n in range(11))


class Metrics:
    """The counters of one application. Thread-safe."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._histogram(
            "request_seconds", "Time of a request and its answer.", _SECONDS,
            "route", "method", "status",
        )  # fmt: skip
        self._stages = self._histogram(
            "stage_seconds", "Time a search spends in one stage.", _SECONDS, "stage"
        )
        # Looking a child up takes longer than counting with it.
        self._stage = cache(self._stages.labels)
        self._request = cache(self._requests.labels)
        self._problems = self._counter("problems", "Answers that were problems, by code.", "code")
        self._mismatches = self._counter("space_mismatches", "Queries of a space not live here.")
        self._non_finite = self._counter("non_finite_vectors", "Requests with NaN or infinity.")
        self._limited = self._counter("rate_limited", "Requests a key's rate refused.")
        self.monitored = self._counter(
            "monitor_samples", "Sampled photographs, by what became of them.", "outcome"
        )
        self.agreement = self._histogram(
            "agreement_at_10", "Share of the teacher's ten nearest the student finds.", _TENTHS,
            "space",
        )  # fmt: skip
        self.top_score = cache(
            self._histogram(
                "query_top_score", "Cosine of each query's best hit.", _SCORES, "space"
            ).labels
        )
        self.decile = cache(
            self._counter(
                "query_deciles", "Queries by the calibration's tenth of their best hit.",
                "space", "decile",
            ).labels
        )  # fmt: skip

    def _histogram(
        self, name: str, says: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"lorgnette_{name}", says, labels, buckets=buckets, registry=self._registry
        )

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"lorgnette_{name}", says, labels, registry=self._registry)

    def answered(self, *, route: str, method: str, status: int | None, took_s: float) -> None:
        """Count one request. route: the pattern, never the path, whose values are without end."""
        known = method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS") else "other"
        self._request(route, known, str(status or "none")).observe(took_s)

    def refused(self, error: LorgnetteError) -> None:
        """Count an answer that was a problem."""
        self._problems.labels(error.code).inc()
        for kind, counter in (
            (SpaceMismatch, self._mismatches),
            (NonFiniteVector, self._non_finite),
            (TooManyRequests, self._limited),
        ):
            if isinstance(error, kind):
                counter.inc()

    def staged(self, name: str, took_s: float) -> None:
        """Count the time of one stage of a search."""
        self._stage(name).observe(took_s)

    def render(self, looked_up: Sequence[Collector]) -> bytes:
        """The text Prometheus reads; blocking."""
        registry = self._registry
        if MULTIPROCESS_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        now = CollectorRegistry()
        for collector in looked_up:
            now.register(collector)
        return generate_latest(registry) + generate_latest(now)


def forget_worker(pid: int | None) -> None:
    """A worker is gone: what it counted stays, what it gauged goes."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
