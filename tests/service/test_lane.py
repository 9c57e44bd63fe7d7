"""Bounded work off the event loop: nobody waits in a line without an end."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import anyio
import pytest

from lorgnette.errors import Unavailable
from service import api
from service.lane import Lane


def test_beyond_its_places_a_call_is_refused_at_once() -> None:
    lane, release, done = Lane(threads=1, admitted=2), threading.Event(), []

    async def ask() -> None:
        async def call() -> None:
            await lane.call(lambda: release.wait(20))
            done.append(True)

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            group.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Unavailable, match="try again"):
                await lane.call(lambda: None)
            release.set()

    anyio.run(ask)
    assert done == [True, True]


def test_a_call_that_failed_gives_its_place_back() -> None:
    lane = Lane(threads=1, admitted=1)

    async def ask() -> int:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await lane.call(lambda: 1 // 0)
        return await lane.call(lambda: 7)

    assert anyio.run(ask) == 7


def test_no_route_runs_in_a_lane_without_a_place() -> None:
    """A `run` is inside an `admit`, which somebody who adds a route easily forgets."""
    for file in Path(api.__path__[0]).glob("*.py"):
        for function in re.split(r"\n(?=async def |def |@)", file.read_text(encoding="utf-8")):
            if "_lane.run(" in function and not function.startswith("async def _look("):
                assert "_lane.admit()" in function, f"{file.name}: {function[:80]}"
