"""The number that says whether the student still does its job: agreement with the teacher.

On a share of the photographs sent to `/search/image`, after they are answered, the teacher
embeds too, and both sets of ten nearest are compared. Nothing of a photograph is kept or logged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from lorgnette.alignment import Alignment
from lorgnette.vectors import Vectors
from service.gallery.snapshot import Snapshot
from service.metrics import Metrics
from service.teachers import Teachers

log = logging.getLogger(__name__)

RANKS = 10
WAITING = 4
"""Photographs that may wait for the teacher; beyond them samples are dropped, never requests."""

_NICENESS = 10


@dataclass(frozen=True)
class Sample:
    """An answered photograph. row: the student's `[1, D]`, as it was searched; snapshot: what it
    was answered from; alignment: what mapped the row, None if nothing did."""

    photograph: bytes
    row: Vectors
    snapshot: Snapshot
    alignment: Alignment | None


class RecallMonitor:
    """A thread with the teachers, fed through a short queue. share: of the photographs, [0, 1]."""

    def __init__(
        self,
        teachers: Teachers,
        *,
        share: float,
        metrics: Metrics,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._teachers = teachers
        self._share = share
        self._metrics = metrics
        self._chance = chance
        self._waiting: queue.Queue[Sample | None] = queue.Queue(WAITING)
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recall-monitor", daemon=True)
        if share:
            self._thread.start()

    def offer(
        self,
        photograph: bytes,
        row: Vectors,
        snapshot: Snapshot,
        *,
        alignment: Alignment | None = None,
    ) -> None:
        """Take a sample if its turn has come and there is room; returns at once."""
        if self._share <= self._chance():
            return
        try:
            self._waiting.put_nowait(Sample(photograph, row, snapshot, alignment))
        except queue.Full:
            self._metrics.monitored.labels("dropped").inc()

    def close(self) -> None:
        """Stop after the sample in hand."""
        self._is_stopping.set()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        # On Linux niceness is a thread's own; requests go first.
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while (sample := self._waiting.get()) is not None and not self._is_stopping.is_set():
            try:
                self._measure(sample)
            # A monitor that died would report the past for ever.
            except Exception as error:
                log.warning("a sample was not measured", exc_info=error)
                self._metrics.monitored.labels("failed").inc()

    def _measure(self, sample: Sample) -> None:
        space = sample.snapshot.space
        (teacher,) = self._teachers.speaking((space,))
        theirs = teacher.encode(sample.photograph)[None, :]
        if sample.alignment is not None:
            theirs = sample.alignment.of_teacher(theirs)
        expected, found = (
            {hit.key for hit in sample.snapshot.search(rows, k=RANKS)[0]}
            for rows in (theirs, sample.row)
        )
        if expected:
            share = len(expected & found) / len(expected)
            self._metrics.agreement.labels(space.id).observe(share)
            self._metrics.monitored.labels("measured").inc()
