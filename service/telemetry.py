"""JSON logs with a request id, and the headers every answer carries.

A log line never holds a vector or an image: either gives the photo away.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from contextvars import ContextVar
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lorgnette._log_lines import given
from service.api.problems import problem_response
from service.headers import header_of
from service.metrics import Metrics

log = logging.getLogger(__name__)

REQUEST_ID_HEADER = "x-request-id"
_REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{8,64}")
_request_id: ContextVar[str] = ContextVar("lorgnette_request_id", default="")
_COLOURED = "color_message"
"""The event once more, as uvicorn gives it for terminals."""

QUIET_PATHS = ("/healthz", "/readyz", "/metrics")
"""Asked for every few seconds by machines: logged at DEBUG only, and never traced."""

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_REQUEST_ID_NAME = REQUEST_ID_HEADER.encode()
_SECURITY = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, request id and the `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if request_id := _request_id.get():
            line["request_id"] = request_id
        line |= {name: value for name, value in given(record).items() if name != _COLOURED}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _LINE.encode(line)


def _name_only(value: object) -> str:
    """Anything that is not plain JSON, an array above all, is logged as its type's name."""
    return str(value) if isinstance(value, Path) else type(value).__name__


_LINE = json.JSONEncoder(default=_name_only)


def configure_logging(level: int = logging.INFO) -> None:
    """Send every logger's lines to stderr as JSON. Called by the command line only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Nobody reads where in the source a line is from: finding that costs more than writing it.
    logging._srcfile = None
    # httpx and Pillow speak at INFO and DEBUG about every call, FAISS of builds it did not find.
    for noisy in ("httpx", "httpcore", "PIL", "faiss.loader"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class RequestTelemetry:
    """Outermost ASGI middleware: request id, security headers, one log line, and the last catch."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an unforeseen error is logged with its id and answered as a 500."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _chosen_id(header_of(scope, _REQUEST_ID_NAME))
        scope.setdefault("state", {})["request_id"] = request_id
        token = _request_id.set(request_id)
        watched = _WatchedSend(send, request_id=request_id)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        # The last line of defence: whatever is unforeseen is logged with its id and not shown.
        except Exception as error:
            failure = problem_response(scope, error)
            if watched.status is not None:
                raise
            await failure(scope, receive, watched)
        finally:
            took_s = time.perf_counter() - started
            self._count(scope, status=watched.status, took_s=took_s)
            _log_request(scope, status=watched.status, took_s=took_s)
            _request_id.reset(token)

    def _count(self, scope: Scope, *, status: int | None, took_s: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.answered(route=route, method=scope["method"], status=status, took_s=took_s)
        problem = scope["state"].get("problem")
        if problem is not None:
            self._metrics.refused(problem)


class _WatchedSend:
    """Adds the headers to the response's start and remembers its status."""

    def __init__(self, send: Send, *, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message.setdefault("headers", [])
            named = {name for name, _ in headers}
            headers.append((_REQUEST_ID_NAME, self._request_id.encode()))
            headers += [header for header in _SECURITY if header[0] not in named]
        await self._send(message)


def _chosen_id(offered: str) -> str:
    """The caller's id when it is a plain one, so that a trace can be followed; else a new one."""
    return offered if _REQUEST_ID_PATTERN.fullmatch(offered) else os.urandom(16).hex()


def _log_request(scope: Scope, *, status: int | None, took_s: float) -> None:
    is_quiet = scope["path"] in QUIET_PATHS
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "took_ms": round(took_s * 1000, 2),
    }
    if key_id := scope["state"].get("key_id"):
        fields["key"] = key_id
    if problem := scope["state"].get("problem"):
        fields["problem"] = problem.code
    log.log(logging.DEBUG if is_quiet else logging.INFO, "request", extra=fields)
