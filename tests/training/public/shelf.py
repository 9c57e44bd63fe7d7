"""Files on a loopback server, with ranges or without, cut short, exchanged; it counts its bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.sdk.loopback import Loopback, Received, Reply, Route, serving


@dataclass
class Shelf:
    """files: by path.  cuts: for each path, where its next answers break off.

    sent: bytes of each path that have left.  answers: status codes, in order.
    etag: of every file; without it, of their content.
    """

    files: dict[str, bytes]
    cuts: dict[str, list[int]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    has_etag: bool = True
    etag: str = ""

    def route(self, path: str) -> Route:
        def answer(request: Received) -> Reply:
            reply = self._reply(path, request)
            self.sent[path] = self.sent.get(path, 0) + len(reply.body[: reply.cut_after])
            self.answers.append(reply.status)
            return reply

        return answer

    def _reply(self, path: str, request: Received) -> Reply:
        content = self.files[path]
        tag = self.etag or f'"{hashlib.sha256(content).hexdigest()}"'
        cuts = self.cuts.get(path, [])
        cut = cuts.pop(0) if cuts else None
        headers = {"ETag": tag} if self.has_etag else {}
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if not self.knows_ranges or not wanted or request.headers.get("if-range") != tag:
            return Reply(200, content, headers, cut)
        start = int(wanted[1])
        if start >= len(content):
            return Reply(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        said = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Reply(206, content[start:], {**headers, "Content-Range": said}, cut)


@contextmanager
def on_a_server(shelf: Shelf) -> Iterator[Loopback]:
    routes: Mapping[str, Route] = {f"GET /{path}": shelf.route(path) for path in shelf.files}
    with serving(routes) as loopback:
        yield loopback
