"""Bounded work off the event loop: a few threads, a short queue, and a refusal beyond it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.to_thread

from lorgnette.errors import Unavailable

Answer = TypeVar("Answer")


class Lane:
    """At most `threads` calls at once and `admitted` requests inside; more are refused at once.

    A refusal is better than a queue nobody will wait for: the caller is told to come back.
    """

    def __init__(self, *, threads: int, admitted: int) -> None:
        self._limiter = anyio.CapacityLimiter(threads)
        self._free = admitted

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place from before the body is read. Raises `Unavailable` when all are taken."""
        if self._free == 0:
            raise Unavailable("the server has more requests than it can answer: try again soon")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Call `work` in one of the lane's threads, within a place that the caller holds."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def call(self, work: Callable[[], Answer]) -> Answer:
        """`run` in a place of its own: for requests of which nothing is read meanwhile."""
        with self.admit():
            return await self.run(work)
