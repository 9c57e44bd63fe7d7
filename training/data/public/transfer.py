"""One file, over as many connections as it takes: `.part` until it is whole, then renamed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from lorgnette.durable import sync
from lorgnette.errors import ChecksumMismatch, DiskFull, Unreachable
from training.data.public.sources import Dropped, Have, Opened, Stale, opened
from training.files import write_atomically, writing_to

RESERVE_BYTES = 256 * 1024**2
"""Left free on the disk, for whatever else writes to it."""


class Report(Protocol):
    """Told what is being done, how many bytes are done, and of how many, None if not known."""

    def __call__(self, task: str, done: int, *, total: int | None) -> None:
        """Called for every piece."""


@dataclass(frozen=True)
class Patience:
    """retries: attempts without a new byte before giving up.  wait_s: before the first; doubles."""

    retries: int
    wait_s: float


@dataclass(frozen=True)
class Ways:
    """How the world is reached.  free_bytes: of the disk a folder is on."""

    http: httpx.Client
    patience: Patience
    free_bytes: Callable[[Path], int]
    report: Report


def fetch(url: str, path: Path, *, size_bytes: int | None, copies: int, ways: Ways) -> None:
    """Make `path` the file at the address; what an earlier run left in `.part` is kept.

    size_bytes: None if not known.  copies: how often its bytes must fit on the disk (2 for an
    archive, whose photographs do not get smaller by packing).
    Raises `Unreachable` when attempts without a new byte are used up, `NotFound`,
    `RefusedByServer`, `ChecksumMismatch` for another length, `DiskFull`.
    """
    transfer = _Transfer(url, path, size_bytes, copies, ways)
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        transfer.run()


class _Transfer:
    def __init__(
        self, url: str, path: Path, size_bytes: int | None, copies: int, ways: Ways
    ) -> None:
        self._url, self._path, self._ways = url, path, ways
        self._size_bytes, self._copies = size_bytes, copies
        self._part = path.with_name(f"{path.name}.part")
        self._origin = path.with_name(f"{path.name}.part.json")
        self._most = self._size()
        self._fruitless = 0

    def run(self) -> None:
        attempts = Retrying(
            stop=self._has_given_up,
            wait=lambda _: self._ways.patience.wait_s * 2 ** min(self._fruitless, 6),
            retry=retry_if_exception_type((Dropped, Stale)),
            reraise=True,
        )
        try:
            attempts(self._attempt)
        except (Dropped, Stale) as error:
            raise Unreachable(
                f"{self._url} broke off {self._fruitless} times without a new byte ({error}); "
                f"{self._size():,} bytes are kept: run the same command again later"
            ) from error
        sync(self._part)
        self._part.replace(self._path)
        self._origin.unlink(missing_ok=True)
        sync(self._path.parent)

    def _attempt(self) -> None:
        have = Have(self._size(), self._validator())
        try:
            with opened(self._url, have, self._ways.http) as file:
                self._check_size(file)
                self._write(file)
        except Stale:
            self._part.unlink(missing_ok=True)
            raise

    def _write(self, file: Opened) -> None:
        origin = {"url": self._url, "validator": file.validator}
        write_atomically(self._origin, json.dumps(origin).encode())
        done = file.start
        with self._part.open("ab" if done else "wb") as part:
            for chunk in file.chunks:
                with writing_to(self._part):
                    part.write(chunk)
                done += len(chunk)
                self._ways.report(self._path.name, done, total=file.total)
        if file.total is not None and done < file.total:
            raise Dropped(f"ended after {done:,} of {file.total:,} bytes")

    def _check_size(self, file: Opened) -> None:
        if None not in (file.total, self._size_bytes) and file.total != self._size_bytes:
            raise ChecksumMismatch(
                f"{self._url} has {file.total:,} bytes, the published {self._path.name} "
                f"{self._size_bytes:,}: it is another file; try --mirror"
            )
        require_room(
            self._path.parent,
            self._copies * (file.total or 0) - file.start,
            what=self._path.name,
            ways=self._ways,
        )

    def _has_given_up(self, _: RetryCallState) -> bool:
        has_gained = self._size() > self._most
        self._most = max(self._most, self._size())
        self._fruitless = 0 if has_gained else self._fruitless + 1
        return self._fruitless > self._ways.patience.retries

    def _validator(self) -> str:
        try:
            origin = json.loads(self._origin.read_bytes())
        except (OSError, ValueError):
            return ""
        is_same = isinstance(origin, dict) and origin.get("url") == self._url
        return str(origin.get("validator", "")) if is_same else ""

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0


def require_room(folder: Path, wanted: int, *, what: str, ways: Ways) -> None:
    """Raise `DiskFull` unless so many bytes, and a reserve, are free on the disk of a folder."""
    free = ways.free_bytes(folder)
    if wanted > 0 and free < wanted + RESERVE_BYTES:
        raise DiskFull(
            f"{what} needs {wanted / 1e9:.1f} GB on the disk of {folder}, where {free / 1e9:.1f} "
            f"GB are free, {RESERVE_BYTES / 1e9:.1f} of them kept for others: free some, or choose "
            "another --root"
        )
