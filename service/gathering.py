"""Calls that are cheaper together: what comes while all threads are busy goes as one batch.

Nobody is made to wait for company: a call that finds a free thread begins at once, alone. A batch
is what has gathered behind the calls at work, so it grows with the load and with nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

Call = TypeVar("Call")
Answer = TypeVar("Answer")

_Waiting = tuple[Call, asyncio.Future[Answer]]
_Batch = list[_Waiting[Call, Answer]]
_Begun = tuple[asyncio.AbstractEventLoop, _Batch[Call, Answer]]


class Gathering(Generic[Call, Answer]):
    """Runs `work` on batches in `threads` threads; used from one event loop.

    work: gives an answer for each of what was asked, or the exception that belongs to it.
    largest: so many at most go together.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Call]], Sequence[Answer | Exception]],
        *,
        threads: int,
        largest: int,
    ) -> None:
        self._work = work
        self._free = threads
        self._largest = largest
        # An executor's futures take as long again as the way into a thread and back.
        self._begun: SimpleQueue[_Begun[Call, Answer] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"gathering-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()
        self._waiting: deque[_Waiting[Call, Answer]] = deque()

    async def run(self, asked: Call) -> Answer:
        """The answer, or its exception. Who is cancelled meanwhile disturbs nobody else."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        self._begin()
        return await answer

    def close(self) -> None:
        """Wait for what is at work; nothing may be asked any more."""
        for _ in self._threads:
            self._begun.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        """What each of the threads does."""
        while True:
            begun = self._begun.get()
            if begun is None:
                return
            self._work_on(*begun)
            # What was asked holds a snapshot, which must not live until the next call comes.
            del begun

    def _work_on(self, loop: asyncio.AbstractEventLoop, batch: _Batch[Call, Answer]) -> None:
        outcomes: Sequence[Answer | BaseException]
        try:
            outcomes = self._work([asked for asked, _ in batch])
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked
            outcomes = [error] * len(batch)
        # A loop that is closed has nobody left who waits for an answer.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._finished, batch, outcomes)

    def _begin(self) -> None:
        """Give every free thread its fair part of what waits."""
        while self._free and self._waiting:
            fair = -(-len(self._waiting) // self._free)
            taken = [self._waiting.popleft() for _ in range(min(fair, self._largest))]
            batch = [entry for entry in taken if not entry[1].done()]
            if not batch:
                continue
            self._free -= 1
            self._begun.put((asyncio.get_running_loop(), batch))

    def _finished(
        self, batch: _Batch[Call, Answer], outcomes: Sequence[Answer | BaseException]
    ) -> None:
        self._free += 1
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            if answer.done():
                continue
            if isinstance(outcome, BaseException):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
        self._begin()
