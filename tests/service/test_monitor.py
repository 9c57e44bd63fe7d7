"""The recall monitor off the request's path: sampled, bounded, and never in the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.vectors import Vectors
from service.gallery.snapshot import LiveGallery, Snapshot
from service.metrics import Metrics
from service.monitor import WAITING, RecallMonitor
from service.teachers import Teachers
from tests.service.serving import eventually, fill, png
from tests.service.test_metrics import Read
from tests.tiny_bundle import space_of


@pytest.fixture
def snapshot(tmp_path: Path, teacher: Bundle) -> Iterator[Snapshot]:
    fill(tmp_path / "data", teacher, {f"{seed}": png(seed) for seed in range(12)})
    gallery = LiveGallery(tmp_path / "data")
    gallery.start()
    yield gallery.snapshot(space_of(0).id)
    gallery.close()


@contextmanager
def monitoring(
    teacher: Path, *, share: float, chance: Callable[[], float]
) -> Iterator[tuple[RecallMonitor, Callable[[str], float]]]:
    metrics = Metrics()
    teachers = Teachers(teacher, max_pixels=10**6)
    monitor = RecallMonitor(teachers, share=share, metrics=metrics, chance=chance)

    def samples(outcome: str) -> float:
        read = Read(metrics.render([]).decode())
        return read("lorgnette_monitor_samples_total", outcome=outcome)

    try:
        yield monitor, samples
    finally:
        monitor.close()


def row_of(bundle: Bundle, photograph: bytes) -> Vectors:
    return Encoder(bundle).encode(photograph)[None, :]


def test_the_share_is_the_share(teacher: Bundle, snapshot: Snapshot) -> None:
    draws = iter([0.0, 0.19, 0.2, 0.5, 0.99, 0.0])
    photograph = png(1)
    row = row_of(teacher, photograph)
    with monitoring(teacher.directory, share=0.2, chance=lambda: next(draws)) as (monitor, samples):
        for _ in range(5):
            monitor.offer(photograph, row, snapshot)
        # Samples are worked off in order: whatever came before this one has been counted.
        monitor.offer(b"no photograph", row, snapshot)
        eventually(lambda: samples("failed") == 1)
        assert samples("measured") == 2


def test_with_no_share_there_is_no_thread_and_no_sample(
    teacher: Bundle, snapshot: Snapshot
) -> None:
    with monitoring(teacher.directory, share=0.0, chance=lambda: 0.0) as (monitor, samples):
        assert "recall-monitor" not in {thread.name for thread in threading.enumerate()}
        monitor.offer(png(1), row_of(teacher, png(1)), snapshot)
        assert samples("dropped") == 0


def test_beyond_the_short_queue_samples_are_dropped_at_once(
    teacher: Bundle, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = threading.Event()
    encode = Encoder.encode

    def slow(encoder: Encoder, image: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        assert going.wait(20)
        return encode(encoder, image)

    row = row_of(teacher, png(1))
    monkeypatch.setattr(Encoder, "encode", slow)
    with monitoring(teacher.directory, share=1.0, chance=lambda: 0.0) as (monitor, samples):
        for _ in range(WAITING + 5):
            monitor.offer(png(1), row, snapshot)
        assert samples("dropped") >= 4
        going.set()
        eventually(lambda: samples("measured") + samples("dropped") == WAITING + 5)


def test_a_missing_teacher_or_a_broken_photograph_ends_no_monitor(
    teacher: Bundle, snapshot: Snapshot, tmp_path: Path
) -> None:
    row = row_of(teacher, png(1))
    absent = tmp_path / "absent"
    with monitoring(absent / "none", share=1.0, chance=lambda: 0.0) as (monitor, samples):
        monitor.offer(png(1), row, snapshot)
        eventually(lambda: samples("failed") == 1)
    with monitoring(teacher.directory, share=1.0, chance=lambda: 0.0) as (monitor, samples):
        monitor.offer(b"no photograph", row, snapshot)
        eventually(lambda: samples("failed") == 1)
        monitor.offer(png(1), row, snapshot)
        eventually(lambda: samples("measured") == 1)
