"""Several processes that answer on one socket and share one mapped index.

The socket is made here and inherited, so that a connection no worker has taken yet is never lost
with one. A worker that dies is replaced; SIGTERM reaches all of them.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from lorgnette.error_codes import by_code
from lorgnette.errors import LorgnetteError
from service.counters import MULTIPROCESS_VARIABLE, WORKERS_VARIABLE, counters_folder
from service.listening import bind, url_of
from service.memory import loading
from service.settings import Settings
from service.signals import STOPS, handled

log = logging.getLogger(__name__)

_SPAWN = multiprocessing.get_context("spawn")
_LOOK_EVERY_S = 0.5
_CALM_S = 1.0
"""A worker that lived shorter than this is not replaced at once."""


@dataclass(frozen=True)
class _Worker:
    process: SpawnProcess
    told: Connection
    born: float


def run_workers(settings: Settings, *, on_ready: Callable[[str], None]) -> None:
    """Serve with `settings.workers` processes until SIGTERM or Ctrl-C.

    on_ready: called once when all of them answer. Raises `InvalidConfiguration` for a port that
    cannot be had, and what a worker raises while it opens.
    """
    with (
        bind(settings.host, settings.port) as bound,
        counters_folder() as counters,
    ):
        os.environ[MULTIPROCESS_VARIABLE] = str(counters)
        os.environ[WORKERS_VARIABLE] = str(os.getpid())
        _Supervisor(settings, bound).run(on_ready)


class _Supervisor:
    """Keeps so many workers alive, and stops them all."""

    def __init__(self, settings: Settings, bound: socket.socket) -> None:
        self._settings = settings
        self._bound = bound
        self._workers: list[_Worker] = []
        self._is_starting = False
        self._is_stopping = False

    def run(self, on_ready: Callable[[str], None]) -> None:
        with handled(STOPS, self._stop):
            try:
                # One first: what keeps it from opening would keep all of them.
                self._start()
                self._wait_until_ready()
                for _ in range(self._settings.workers - 1):
                    self._start()
                self._wait_until_ready()
                if not self._is_stopping:
                    on_ready(url_of(self._bound))
                self._keep_alive()
            finally:
                self._stop()
                for worker in self._workers:
                    worker.process.join()

    def _start(self) -> None:
        """Start a worker. A signal meanwhile waits until it has inherited the socket."""
        self._is_starting = True
        try:
            if not self._is_stopping:
                told, tell = _SPAWN.Pipe(duplex=False)
                process = _SPAWN.Process(target=_work, args=(self._settings, self._bound, tell))
                process.start()
                tell.close()
                self._workers.append(_Worker(process=process, told=told, born=time.monotonic()))
        finally:
            self._is_starting = False
        if self._is_stopping:
            self._end()

    def _wait_until_ready(self) -> None:
        """Wait for every worker. Raise the error that kept one from opening."""
        for worker in self._workers:
            if self._is_stopping:
                return
            failure = self._failure_of(worker)
            if failure is not None and not self._is_stopping:
                code, message = failure
                raise by_code(code)(message)
            worker.told.close()

    @staticmethod
    def _failure_of(worker: _Worker) -> tuple[str, str] | None:
        if worker.told.closed:
            return None
        try:
            failure: tuple[str, str] | None = worker.told.recv()
        except EOFError:
            return ("error", "a worker ended while it was starting: its log says why")
        return failure

    def _keep_alive(self) -> None:
        while self._workers and not self._is_stopping:
            wait([worker.process.sentinel for worker in self._workers], timeout=_LOOK_EVERY_S)
            for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
                self._workers.remove(worker)
                self._bury(worker)
                if not self._is_stopping:
                    self._start()

    @staticmethod
    def _bury(worker: _Worker) -> None:
        # What answers is not loaded here, where nothing does: it would take half a second.
        from service.metrics import forget_worker

        forget_worker(worker.process.pid)
        extra = {"pid": worker.process.pid, "exit_code": worker.process.exitcode}
        log.error("a worker died and is replaced", extra=extra)
        lived_s = time.monotonic() - worker.born
        if lived_s < _CALM_S:
            time.sleep(_CALM_S - lived_s)

    def _stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        self._is_stopping = True
        if not self._is_starting:
            self._end()

    def _end(self) -> None:
        """Tell every worker. The socket is closed here too: with the last one it refuses."""
        self._bound.close()
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()


def _work(settings: Settings, bound: socket.socket, tell: Connection) -> None:
    """One worker, in a process of its own: serve until told to stop."""
    with loading() as loaded:
        from service.app import create_app
        from service.server import run_beside_others
        from service.telemetry import configure_logging

        def on_ready(_url: str) -> None:
            loaded()
            tell.send(None)

        configure_logging()
        threading.Thread(target=_end_with_parent, daemon=True).start()
        try:
            run_beside_others(create_app(settings), settings, bound, on_ready=on_ready)
        except LorgnetteError as error:
            tell.send((error.code, str(error)))
            sys.exit(1)


def _end_with_parent() -> None:
    """Stop when what started us is gone, however it ended: nobody else would tell us."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
