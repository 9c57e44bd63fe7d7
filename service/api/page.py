"""The web page at `/`: the files of one built directory, as they are, to anybody.

The page holds nothing of the gallery: what it shows it asks for over the API, with the visitor's
key. Files below `assets/` are named after their content by the build, so they may be kept for
ever; every other file is asked for again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.entity_tags import is_known
from service.api.problems import NOT_MODIFIED
from service.defaults import PAGE_INDEX

ASSETS_NAME = "assets"

_CONTENT_SECURITY = "; ".join(
    (
        "default-src 'self'",
        # The student is WebAssembly. No inline script, no eval, no other origin.
        "script-src 'self' 'wasm-unsafe-eval'",
        # The picked photograph and the thumbnails, which are fetched with the key.
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _CONTENT_SECURITY,
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
    "accept-ranges": "none",
}
_ISOLATION = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
}
_ALWAYS_ASK, _FOREVER = "no-cache", "public, max-age=31536000, immutable"

# The system's own table differs between machines, and mostly lacks the last ones.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
}
_OTHER_TYPE = "application/octet-stream"
_NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>lorgnette</title></head>
<body><p>This service answers, but its web page is not built: run
<code>npm ci &amp;&amp; npm run build</code> in <code>clients/page</code> (it needs Node), or name
a built one with <code>lorgnette serve --page DIR</code>; the API is described in
<a href="/openapi.json">/openapi.json</a>.</p></body></html>
"""


class Page:
    """ASGI application for what no route answers: a file of the page, else `otherwise`.

    is_isolated: cross-origin isolated, so that WebAssembly may use threads; not where pages of
    other origins must open this one.
    """

    path: Final = "/"
    """As which metrics and traces count all its files."""

    def __init__(self, directory: Path, *, is_isolated: bool, otherwise: ASGIApp) -> None:
        self._directory = directory
        self._headers = _HEADERS | (_ISOLATION if is_isolated else {})
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        response = None
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            response = await anyio.to_thread.run_sync(self._answer, Request(scope))
        if response is None:
            await self._otherwise(scope, receive, send)
            return
        scope["route"] = self
        # Files are sent whole, as RFC 9110 14.2 allows: Starlette refuses, in a form of its own,
        # ranges that are to be ignored.
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await response({**scope, "headers": headers}, receive, send)

    def _answer(self, request: Request) -> Response | None:
        """The file the path names, or None; blocking."""
        name = request.scope["path"].removeprefix("/") or PAGE_INDEX
        found = self._file(name)
        if found is not None:
            return self._sent(request, *found, name=name)
        return HTMLResponse(_NOT_BUILT, headers=self._cached(name)) if name == PAGE_INDEX else None

    def _file(self, name: str) -> tuple[Path, os.stat_result] | None:
        """A regular file inside the directory, links resolved; no hidden one."""
        if any(not part or part.startswith(".") or "\\" in part for part in name.split("/")):
            return None
        try:
            root = self._directory.resolve()
            path = (root / name).resolve()
            is_inside = path.is_relative_to(root) and path.is_file()
            return (path, path.stat()) if is_inside else None
        # A name too long for the file system, or with a NUL in it, names no file.
        except (OSError, ValueError):
            return None

    def _sent(self, request: Request, path: Path, found: os.stat_result, *, name: str) -> Response:
        headers = self._cached(name)
        media_type = _TYPES.get(path.suffix.lower(), _OTHER_TYPE)
        whole = FileResponse(path, headers=headers, media_type=media_type, stat_result=found)
        etag = whole.headers["etag"]
        if is_known(request, etag=etag):
            return Response(status_code=NOT_MODIFIED, headers=headers | {"etag": etag})
        return whole

    def _cached(self, name: str) -> dict[str, str]:
        is_asset = name.startswith(f"{ASSETS_NAME}/")
        return self._headers | {"cache-control": _FOREVER if is_asset else _ALWAYS_ASK}
