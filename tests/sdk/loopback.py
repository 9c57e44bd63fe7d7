"""A real HTTP server on loopback that answers, or misbehaves, exactly as a test tells it to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import BaseModel

from lorgnette.wire import PROBLEM_TYPE


@dataclass(frozen=True)
class Received:
    """One request as it arrived. headers: keys in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to send. cut_after: bytes of the body after which the connection is reset."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None


RESET = Reply(cut_after=-1)
"""Not even a status line: the connection is reset."""

Route = Callable[[Received], Reply]


def ok(model: BaseModel, status: int = 200) -> Reply:
    return Reply(status, model.model_dump_json().encode(), {"Content-Type": "application/json"})


def problem(status: int, code: str, **extra: object) -> Reply:
    document = {
        "type": PROBLEM_TYPE + code,
        "title": code,
        "status": status,
        "detail": f"the detail of {code}",
        **extra,
    }
    headers = {"Content-Type": "application/problem+json"}
    return Reply(status, json.dumps(document).encode(), headers)


def in_turn(*replies: Reply | Route) -> Route:
    """Each reply once, the last one for ever."""
    queue = list(replies)
    lock = threading.Lock()

    def route(request: Received) -> Reply:
        with lock:
            reply = queue.pop(0) if len(queue) > 1 else queue[0]
        return reply if isinstance(reply, Reply) else reply(request)

    return route


class Loopback:
    """routes: `"GET /spaces"` → what to do. received: every request, in order of arrival."""

    def __init__(self, routes: Mapping[str, Route | Reply], port: int) -> None:
        self.routes = dict(routes)
        self.received: list[Received] = []
        self.port = port
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.received]

    def answer(self, request: Received) -> Reply:
        self.received.append(request)
        route = self.routes.get(f"{request.method} {request.path}")
        if route is None:
            return problem(404, "not-found")
        return route if isinstance(route, Reply) else route(request)


@contextmanager
def serving(routes: Mapping[str, Route | Reply]) -> Iterator[Loopback]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    loopback = Loopback(routes, server.server_address[1])
    server.loopback = loopback  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield loopback
    finally:
        loopback.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        loopback: Loopback = self.server.loopback  # type: ignore[attr-defined]
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = loopback.answer(Received(self.command, path, query, headers, body))
        if reply.cut_after is not None and reply.cut_after < 0:
            self._reset()
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 304:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: reply.cut_after])
        if reply.cut_after is not None:
            self.wfile.flush()
            self._close_quietly()

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _close_quietly(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
