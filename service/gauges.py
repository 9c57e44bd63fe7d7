"""What is looked up when Prometheus asks: the live spaces, the jobs, the workers' memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lorgnette.errors import LorgnetteError
from service.counters import WORKERS_VARIABLE
from service.gallery.parts import TailPart
from service.jobs import list_jobs
from service.state import Opened, ServiceState


class Gauges(Collector):
    """The state of one application as metrics."""

    def __init__(self, state: ServiceState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Look everything up; blocking. While loading or draining only readiness and memory."""
        opened = self._opened()
        ready = GaugeMetricFamily("lorgnette_ready", "Whether a search would be answered.")
        ready.add_metric((), 1.0 if opened is not None and opened.gallery.snapshots() else 0.0)
        yield ready
        yield _memory()
        if opened is not None:
            yield from _spaces(opened)
            yield from _jobs(opened)
            yield _calibrations(opened)

    def _opened(self) -> Opened | None:
        try:
            return self._state.current()
        except LorgnetteError:
            return None


def _spaces(opened: Opened) -> Iterator[Metric]:
    live = GaugeMetricFamily(
        "lorgnette_generation", "The live generation; 0 is none yet.", labels=("space",)
    )
    items = GaugeMetricFamily("lorgnette_items", "Items that can be found.", labels=("space",))
    tail = GaugeMetricFamily(
        "lorgnette_tail_items", "Items written since the generation.", labels=("space",)
    )
    for snapshot in opened.gallery.snapshots():
        labels = (snapshot.space.id,)
        live.add_metric(labels, snapshot.generation)
        items.add_metric(labels, snapshot.count)
        written = (part.count for part in snapshot.parts if isinstance(part, TailPart))
        tail.add_metric(labels, sum(written))
    yield from (live, items, tail)


def _jobs(opened: Opened) -> Iterator[Metric]:
    """The latest job of each kind: its state, and how far it is."""
    state = GaugeMetricFamily(
        "lorgnette_job_state", "1 for the latest job's state.", labels=("kind", "state")
    )
    progress = GaugeMetricFamily(
        "lorgnette_job_progress_ratio", "How far the latest job is.", labels=("kind",)
    )
    seen: set[str] = set()
    for job in list_jobs(opened.catalogue):
        if job.kind not in seen:
            seen.add(job.kind)
            state.add_metric((job.kind, job.state), 1.0)
            progress.add_metric((job.kind,), job.done / job.total if job.total else 0.0)
    yield from (state, progress)


def _calibrations(opened: Opened) -> Metric:
    found = GaugeMetricFamily(
        "lorgnette_calibration_top_score",
        "Quantiles of the first queries' best scores, which later ones are held against.",
        labels=("space", "quantile"),
    )
    for space_id, deciles in opened.drift.calibrations().items():
        for n, score in enumerate(deciles, start=1):
            found.add_metric((space_id, f"0.{n}"), score)
    return found


def _memory() -> Metric:
    """Private is what another worker costs; the mapped index is shared by all of them."""
    memory = GaugeMetricFamily(
        "lorgnette_memory_bytes", "Resident memory of a worker.", labels=("pid", "kind")
    )
    for pid in _workers():
        for kind, size in memory_of(pid).items():
            memory.add_metric((str(pid), kind), size)
    return memory


def memory_of(pid: int) -> dict[str, float]:
    """Bytes of a process: private, shared, and in proportion (pss). Empty where unknown."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return {}
    kib = {name.rstrip(":"): float(size) for name, size, *_ in map(str.split, lines)}
    return {
        "private": 1024 * (kib["Private_Clean"] + kib["Private_Dirty"]),
        "shared": 1024 * (kib["Shared_Clean"] + kib["Shared_Dirty"]),
        "pss": 1024 * kib["Pss"],
    }


def _workers() -> list[int]:
    """The processes that answer for this service: its siblings with several workers, else it."""
    parent = os.environ.get(WORKERS_VARIABLE, "")
    if parent != str(os.getppid()):
        return [os.getpid()]
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    except OSError:
        return [os.getpid()]
    return [int(pid) for pid in children.split()]
