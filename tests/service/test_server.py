"""The event loop a service runs in."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing

import pytest

from service.server import new_event_loop


def test_the_loop_is_uvloops_where_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop")
    with closing(new_event_loop()) as loop:
        assert isinstance(loop, uvloop.Loop)


def test_without_uvloop_the_loop_is_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with closing(new_event_loop()) as loop:
        assert isinstance(loop, asyncio.BaseEventLoop)
