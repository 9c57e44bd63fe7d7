"""One process that listens: the socket first, then the application, then the URL."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.listening import BACKLOG, bind, url_of
from service.memory import share_one_heap
from service.settings import Settings
from service.signals import STOPS, handled
from service.state import ServiceState

GRACE_S = 30
"""How long requests in flight may take to finish after SIGTERM."""


def run(app: FastAPI, settings: Settings, *, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is in flight and return.

    on_ready: called once with the URL when requests are answered. Raises `InvalidConfiguration`
    for a port that cannot be had, and what the application raises while it opens.
    """
    share_one_heap()
    with bind(settings.host, settings.port) as bound:
        _run(_serve(app, bound, drain_s=settings.drain_s, on_ready=on_ready))


def run_beside_others(
    app: FastAPI, settings: Settings, bound: socket.socket, *, on_ready: Callable[[str], None]
) -> None:
    """Serve on a socket that other workers listen on too, which this one closes at the end.

    It takes no request before it is ready: the others answer meanwhile. Otherwise as `run`.
    """
    share_one_heap()
    _run(_serve_once_open(app, bound, drain_s=settings.drain_s, on_ready=on_ready))


def _run(serving: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serving)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, which moves a request in half the time, else (as on Windows) Python's own."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _Server(uvicorn.Server):
    """uvicorn, which goes on answering 503 for `drain_s` after it was told to stop.

    Who balances the load sees `/readyz` fail meanwhile, and sends nothing more. A second signal
    cuts that short.
    """

    def __init__(self, config: uvicorn.Config, *, state: ServiceState, drain_s: float) -> None:
        super().__init__(config)
        self._state = state
        self._drain_s = drain_s
        self._told: tuple[float, int] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or stop at once."""
        is_first = self._told is None
        self._state.is_draining = True
        self._told = self._told or (time.monotonic(), sig)
        if not is_first or not self._drain_s:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop now; called ten times a second."""
        if self._told is not None and not self.should_exit:
            since, sig = self._told
            if time.monotonic() - since >= self._drain_s:
                super().handle_exit(sig, None)
        return await super().on_tick(counter)


async def _serve(
    app: FastAPI, bound: socket.socket, *, drain_s: float, on_ready: Callable[[str], None]
) -> None:
    """Answer from the first moment, with 503 until the application has opened its parts."""
    with _stops_ignored():
        async with (
            _answering(app, bound, drain_s=drain_s) as serving,
            app.router.lifespan_context(app),
        ):
            if not serving.done():
                on_ready(url_of(bound))
            await serving


async def _serve_once_open(
    app: FastAPI, bound: socket.socket, *, drain_s: float, on_ready: Callable[[str], None]
) -> None:
    async with app.router.lifespan_context(app):
        with _stops_ignored():
            async with _answering(app, bound, drain_s=drain_s) as serving:
                on_ready(url_of(bound))
                await serving


@asynccontextmanager
async def _answering(
    app: FastAPI, bound: socket.socket, *, drain_s: float
) -> AsyncIterator[asyncio.Task[None]]:
    """Uvicorn at work; leaving the block stops it."""
    config = uvicorn.Config(
        app,
        # The lifespan is entered by who calls this, so that its errors reach them as they are.
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # A forwarded address is never believed: nothing here decides by the caller's address.
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config, state=app.state.service, drain_s=drain_s)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        yield serving
    finally:
        server.should_exit = True
        await serving


def _stops_ignored() -> AbstractContextManager[None]:
    """uvicorn handles signals while it serves, then raises them again: nothing is left to stop."""
    return handled(STOPS, signal.SIG_IGN)
