"""Calls that are cheaper together: what comes while all threads are busy goes as one batch.

Nobody is made to wait for company: a call that finds a free thread begins at once, alone. A batch
is what has gathered behind the calls at work, so it grows with the load and with nothing else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_Waiting = tuple[Asked, "asyncio.Future[Answer]"]


class Gathering(Generic[Asked, Answer]):
    """Runs `work` on batches in `threads` threads; used from one event loop.

    work: gives an answer for each of what was asked, or the exception that belongs to it.
    largest: so many at most go together.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]],
        *,
        threads: int,
        largest: int,
    ) -> None:
        self._work = work
        self._free = threads
        self._largest = largest
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gathering")
        self._waiting: deque[_Waiting[Asked, Answer]] = deque()

    async def run(self, asked: Asked) -> Answer:
        """The answer, or its exception. Who is cancelled meanwhile disturbs nobody else."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        self._begin()
        return await answer

    def close(self) -> None:
        """Wait for what is at work; nothing may be asked any more."""
        self._pool.shutdown()

    def _begin(self) -> None:
        """Give every free thread its fair part of what waits."""
        while self._free and self._waiting:
            fair = -(-len(self._waiting) // self._free)
            taken = [self._waiting.popleft() for _ in range(min(fair, self._largest))]
            batch = [entry for entry in taken if not entry[1].done()]
            if not batch:
                continue
            self._free -= 1
            loop = asyncio.get_running_loop()
            working = loop.run_in_executor(self._pool, self._work, [asked for asked, _ in batch])
            working.add_done_callback(partial(self._finished, batch))

    def _finished(
        self,
        batch: Sequence[_Waiting[Asked, Answer]],
        working: asyncio.Future[Sequence[Answer | Exception]],
    ) -> None:
        self._free += 1
        failure = asyncio.CancelledError() if working.cancelled() else working.exception()
        outcomes = [failure] * len(batch) if failure is not None else working.result()
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            if answer.done():
                continue
            if isinstance(outcome, asyncio.CancelledError):
                answer.cancel()
            elif isinstance(outcome, BaseException):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
        self._begin()
