"""The commands the demo runs as a user would: `lorgnette index`, then `lorgnette serve`.

Each is a child in a session of its own, so that a Ctrl-C in the terminal reaches the demo alone,
which ends them in its own order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from lorgnette.errors import Unreachable
from service.signals import STOPS, handled

READY_S = 120.0
"""How long the service may take to answer `/readyz`."""

_POLL_S = 0.05
_STOP_S = 35.0


def run_command(arguments: Sequence[str]) -> int:
    """Run `lorgnette ARGUMENTS` with this terminal's output and return its exit code.

    An interrupt ends the command before it is raised again.
    """
    child = _start(arguments, output=None)
    try:
        return child.wait()
    finally:
        _stop(child)


@contextmanager
def running_service(
    arguments: Sequence[str], *, url: str, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `lorgnette ARGUMENTS` and enter once its `/readyz` says so; stop it on the way out.

    log: file that receives what the service writes. Raises `Unreachable`, with the service's own
    reason, when it ends or stays silent for `READY_S`.
    """
    with log.open("wb") as output:
        child = _start(arguments, output=output)
    try:
        _await_ready(child, url=url, log=log)
        yield child
    finally:
        _stop(child)


def last_words(log: Path) -> str:
    """The last line of a service's log, as text: the reason it ended."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it wrote nothing")
    try:
        event = json.loads(last)
    except ValueError:
        return last.strip()
    return str(event.get("event", last)) if isinstance(event, dict) else last


def _start(arguments: Sequence[str], *, output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    # The demo says everything on the command line; a variable meant for another service, a key
    # above all, must not change it.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("LORGNETTE_")
    }
    return subprocess.Popen(  # noqa: S603 - our own command, no shell
        [sys.executable, "-m", "lorgnette", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )


def _await_ready(child: subprocess.Popen[bytes], *, url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    reason = "no answer yet"
    with httpx.Client(base_url=url, timeout=2.0, trust_env=False) as http:
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise Unreachable(
                    f"the service ended before it was ready (exit code {child.returncode}): "
                    f"{last_words(log)}"
                )
            try:
                answer = http.get("/readyz")
            except httpx.TransportError as error:
                reason = str(error)
            else:
                if answer.is_success:
                    return
                reason = answer.text
            time.sleep(_POLL_S)
    raise Unreachable(f"the service was not ready after {READY_S:.0f} s ({reason}); see {log}")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the child: the service finishes what is in flight, the indexer just ends.

    Further interrupts are ignored meanwhile: half a shutdown is none.
    """
    if child.poll() is not None:
        return
    with _patience():
        child.terminate()
        try:
            child.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def _patience() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with handled((*STOPS, signal.SIGHUP), signal.SIG_IGN):
        yield
