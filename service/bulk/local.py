"""The processes of one machine as an engine of bulk embedding."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.synchronize import Event

from lorgnette.errors import NotEnoughMemory
from service.bulk.worker import Done, Work, Worker

_MANY = 8
"""Cores from which on something between one process and one a core is tried too."""

_TRIED = 2
"""Shards a process gets while layouts are compared."""


@dataclass(frozen=True)
class Layout:
    """How the cores are used."""

    processes: int
    threads: int


def layouts(cores: int) -> tuple[Layout, ...]:
    """What is worth comparing: threads share memory, processes share no lock."""
    tried = [Layout(1, cores)]
    if cores > 1:
        tried.append(Layout(cores, 1))
    if cores >= _MANY:
        tried.append(Layout(cores // 4, 4))
    return tuple(tried)


@dataclass(frozen=True)
class LocalEngine:
    """Embeds shards with this machine's cores.

    Each layout gets a few shards first, and the fastest gets the rest; what was embedded meanwhile
    counts. With too little to do for that, the first one does it all.
    """

    cores: int

    def __call__(self, work: Work, shards: Sequence[int]) -> Iterator[Done]:
        """Embed the shards, in any order. Raises `InvalidBundle`, `DiskFull`, `NotEnoughMemory`."""
        left = deque(shards)
        tried = layouts(self.cores)
        best = tried[0]
        if len(left) >= 2 * sum(_TRIED * layout.processes for layout in tried):
            rates: dict[Layout, float] = {}
            for layout in tried:
                some = [left.popleft() for _ in range(_TRIED * layout.processes)]
                done = []
                for one in run(layout, work, some):
                    done.append(one)
                    yield one
                rates[layout] = rate(layout, done)
            best = max(tried, key=rates.__getitem__)
        yield from run(best, work, left)


def rate(layout: Layout, done: Sequence[Done]) -> float:
    """Photographs a second, without the time the processes took to start."""
    took = sum(one.took_s for one in done)
    return layout.processes * sum(one.photographs for one in done) / max(took, 1e-9)


def run(layout: Layout, work: Work, shards: Sequence[int]) -> Iterator[Done]:
    """Embed the shards by one layout."""
    if layout.processes == 1:
        with closing(Worker(work, threads=layout.threads)) as worker:
            yield from map(worker, shards)
        return
    # Not forked: the threads of FAISS and ONNX Runtime do not survive that.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(
        layout.processes,
        mp_context=context,
        initializer=_begin,
        initargs=(work, layout.threads, stop),
    ) as pool:
        try:
            for future in as_completed([pool.submit(_embed, shard) for shard in shards]):
                yield future.result()
        except BrokenProcessPool as error:
            raise NotEnoughMemory(
                "an embedding process could not start or was killed, probably for want of memory: "
                "run the same command again, with fewer --cores; finished shards are kept"
            ) from error
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


_worker: Worker | None = None


def _begin(work: Work, threads: int, stop: Event) -> None:
    """In each process, once: Ctrl-C is the parent's to hear."""
    global _worker  # noqa: PLW0603 - a pool's processes have no other place to keep anything
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    _worker = Worker(
        work, threads=threads, is_stopped=lambda: stop.is_set() or os.getppid() != parent
    )


def _embed(shard: int) -> Done:
    assert _worker is not None, "the pool's initializer comes first"
    return _worker(shard)
