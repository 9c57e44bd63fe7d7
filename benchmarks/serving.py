"""A gallery of given vectors, the real service over it, and a caller that costs next to nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.common import ROOT, K, Rows
from lorgnette.manifest import Space
from lorgnette.vectors import to_bytes
from service.gallery.catalogue import Catalogue
from service.gallery.publish import publish
from service.gallery.records import NewItem, Stamp
from tests.tiny_bundle import write_tiny_bundle

_ALONE = "import service.app, lorgnette.cli; service.app._GATHERED = 1; lorgnette.cli.main()"
"""The service without batches: every search goes to FAISS alone."""


def filled(folder: Path, rows: Rows, *, factory: str, gate: float = 0.95) -> Space:
    """Write the rows as items of a gallery, with a little metadata, and publish them."""
    space = write_tiny_bundle(folder / "student", role="query", dim=rows.shape[1]).space
    stamp = Stamp(size=1, mtime_ns=1)
    with closing(Catalogue.open(folder / "data")) as catalogue:
        for start in range(0, len(rows), 10_000):
            catalogue.upsert(
                space,
                [
                    NewItem(id=f"{n}", source="", stamp=stamp, metadata={"n": n}, vector=row)
                    for n, row in enumerate(rows[start : start + 10_000], start)
                ],
            )
        publish(catalogue, folder / "data", space, factory=factory, recall_gate=gate)
    return space


@contextmanager
def serving(folder: Path, *, is_alone: bool = False) -> Iterator[str]:
    """The URL of a service in a process of its own. is_alone: nothing is batched there."""
    program = ["-c", _ALONE] if is_alone else ["-m", "lorgnette"]
    command = [sys.executable, *program, "serve", "--data", str(folder / "data")]
    command += ["--student", str(folder / "student"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        try:
            yield next(word for word in child.stdout.readline().split() if "://" in word)
        finally:
            child.terminate()


def http_request(url: str, path: str, *, kind: str, body: bytes) -> bytes:
    """The bytes of a `POST`."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def raw_search(url: str, space: str, query: Rows) -> bytes:
    """The bytes of a search for the ten nearest of one query `[D]`, as raw float32."""
    return http_request(
        url,
        f"/search?space={space}&dtype=f32&k={K}",
        kind="application/octet-stream",
        body=to_bytes(query[None], dtype="f32"),
    )


class Wire:
    """One open connection that sends prepared bytes: a caller without a library's cost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> Wire:
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer. Raises `RuntimeError` for any but 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"expected 200, found {head[:40]!r}: {body[:200]!r}")
        return body


async def loaded(url: str, requests: Sequence[bytes], *, callers: int, seconds: float) -> float:
    """Answers a second, with so many callers who ask one after another."""
    ends, answered = time.perf_counter() + seconds, 0

    async def call(number: int) -> None:
        nonlocal answered
        wire = await Wire.open(url)
        while time.perf_counter() < ends:
            await wire.ask(requests[number % len(requests)])
            number += callers
            answered += 1

    started = time.perf_counter()
    await asyncio.gather(*(call(n) for n in range(callers)))
    return answered / (time.perf_counter() - started)


def main() -> None:
    """As a process of its own: `URL FILE CALLERS SECONDS`, the file holding framed requests.

    Prints the answers a second.
    """
    url, path, callers, seconds = sys.argv[1:]
    requests = [bytes.fromhex(line) for line in Path(path).read_text().split()]
    print(asyncio.run(loaded(url, requests, callers=int(callers), seconds=float(seconds))))


if __name__ == "__main__":
    main()
