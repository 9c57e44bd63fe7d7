"""Callers that cost next to nothing: sockets, prepared bytes, no HTTP library."""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.common import K, Rows
from lorgnette.vectors import to_bytes

_LARGEST = 1 << 16


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
    """One open connection; one request at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def send(self, request: bytes) -> None:
        self.socket.sendall(request)

    def received(self) -> bytes | None:
        """The body of the answer, once it is here whole. Raises `RuntimeError` for any but 200."""
        got = self.socket.recv(_LARGEST)
        if not got:
            raise RuntimeError("the service closed the connection")
        self._held += got
        head, ended, body = self._held.partition(b"\r\n\r\n")
        if not ended:
            return None
        if len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return None
        self._held = b""
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"expected 200, found {head[:40]!r}: {body[:200]!r}")
        return body

    def ask(self, request: bytes) -> bytes:
        """The body of the answer."""
        self.send(request)
        while (body := self.received()) is None:
            pass
        return body


def loaded(url: str, requests: Sequence[bytes], *, callers: int, seconds: float) -> float:
    """Answers a second, with so many callers who ask one after another, in one thread."""
    with selectors.DefaultSelector() as ready:
        for number in range(callers):
            wire = Wire(url)
            ready.register(wire.socket, selectors.EVENT_READ, wire)
            wire.send(requests[number % len(requests)])
        started, answered = time.perf_counter(), 0
        while time.perf_counter() < started + seconds:
            for key, _ in ready.select():
                if key.data.received() is not None:
                    answered += 1
                    key.data.send(requests[(callers + answered) % len(requests)])
        return answered / (time.perf_counter() - started)


def main() -> None:
    """As a process of its own: `URL FILE CALLERS SECONDS`, the file holding framed requests.

    Prints the answers a second.
    """
    url, path, callers, seconds = sys.argv[1:]
    requests = [bytes.fromhex(line) for line in Path(path).read_text().split()]
    print(loaded(url, requests, callers=int(callers), seconds=float(seconds)))


if __name__ == "__main__":
    main()
