"""Which web pages of other origins may search: none, unless the settings name them."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_CLOSED = ("/admin", "/metrics")


class SearchFromPages:
    """ASGI middleware: lets the named origins search and fetch students, never administer."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...]) -> None:
        self._app = app
        self._allowing = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=(
                "authorization", "content-type", "if-none-match", "if-range", "range",
                "x-request-id",
            ),
            expose_headers=(
                "content-range", "etag", "retry-after", "x-request-id",
            ),
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, with leave for its origin when it has any."""
        is_closed = scope["type"] != "http" or scope["path"].startswith(_CLOSED)
        await (self._app if is_closed else self._allowing)(scope, receive, send)
