"""Reaching the world without waiting, on a disk of any size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from training.data.public.transfer import Patience, Ways


class Said:
    """A `Report` that remembers: (task, done, total)."""

    def __init__(self) -> None:
        self.all: list[tuple[str, int, int | None]] = []

    def __call__(self, task: str, done: int, *, total: int | None) -> None:
        self.all.append((task, done, total))


@contextmanager
def impatient(*, free_bytes: int = 10**15, report: Said | None = None) -> Iterator[Ways]:
    def free(_: Path) -> int:
        return free_bytes

    # Loopback needs no certificates, and reading them takes longer than a test.
    with httpx.Client(timeout=10, follow_redirects=True, verify=False) as http:
        yield Ways(http, Patience(retries=2, wait_s=0), free, report or Said())
