"""The one file with HTTP status codes: what each error becomes on the wire (RFC 9457)."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from lorgnette import errors
from lorgnette.errors import (
    InvalidRequest,
    LorgnetteError,
    ServerFault,
    SpaceMismatch,
    TooManyRequests,
)
from lorgnette.wire import PROBLEM_TYPE, Problem
from service.gallery.records import Stale

log = logging.getLogger(__name__)

OK, CREATED, ACCEPTED, PARTIAL_CONTENT, NOT_MODIFIED = 200, 201, 202, 206, 304
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class UnsupportedMediaType(InvalidRequest):
    """The body's content type is not one this route reads."""


class MethodNotAllowed(InvalidRequest):
    """The path exists, but not for this method. allowed: those it exists for."""

    def __init__(self, message: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class PreconditionRequired(InvalidRequest):
    """A change that needs `If-Match` came without it."""


class RequestTimeout(InvalidRequest):
    """The body came too slowly."""


class RateLimited(TooManyRequests):
    """One key asked too often. retry_after_s: when it may ask again."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RangeNotSatisfiable(InvalidRequest):
    """A range that begins behind the end of the file. size: the file's bytes."""

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.size = size


STATUS: dict[type[LorgnetteError], int] = {
    LorgnetteError: 500,
    errors.InvalidInput: 422,
    errors.ImageTooLarge: 413,
    errors.BodyTooLarge: 413,
    errors.RefusedByServer: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    MethodNotAllowed: 405,
    RequestTimeout: 408,
    errors.SpaceMismatch: 409,
    errors.Conflict: 409,
    errors.GalleryBusy: 409,
    Stale: 412,
    UnsupportedMediaType: 415,
    RangeNotSatisfiable: 416,
    PreconditionRequired: 428,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
    errors.TimedOut: 504,
    errors.DiskFull: 507,
    errors.NotEnoughMemory: 507,
}
"""Status of a class and, by inheritance, of its subclasses."""

# What a client may read although the fault is the server's: these say how to wait, not what broke.
_SHOWN = (errors.Unavailable, errors.TimedOut, errors.DiskFull, errors.NotEnoughMemory)


def status_of(kind: type[LorgnetteError]) -> int:
    """The status of an error class: its own, or its nearest ancestor's."""
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def problem_response(scope: Scope, error: Exception) -> Response:
    """Render an error. What is not meant for clients is logged, and becomes a 500 with the id."""
    request_id = request_id_of(scope)
    shown = _shown(error, request_id=request_id)
    # Whoever logs and counts the request finds it here.
    scope.setdefault("state", {})["problem"] = shown
    status = status_of(type(shown))
    problem = Problem(
        type=PROBLEM_TYPE + shown.code,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=str(shown),
        instance=f"urn:lorgnette:request:{request_id}",
    )
    if isinstance(shown, SpaceMismatch):
        problem = problem.model_copy(
            update={
                "expected": list(shown.expected),
                "found": shown.found,
                "students": list(shown.students),
            }
        )
    return Response(
        problem.model_dump_json(exclude_defaults=True),
        status_code=status,
        headers=_headers(shown),
        media_type=MEDIA_TYPE,
    )


def request_id_of(scope: Scope) -> str:
    """The id `RequestTelemetry` gave this request; empty outside of a request."""
    return str(scope.get("state", {}).get("request_id", ""))


def _shown(error: Exception, *, request_id: str) -> LorgnetteError:
    if isinstance(error, LorgnetteError) and (
        status_of(type(error)) < 500 or isinstance(error, _SHOWN)
    ):
        return error
    log.error("failed", exc_info=error)
    return ServerFault(
        f"the server failed on this request: its log holds the cause under request id {request_id}"
    )


def _headers(error: LorgnetteError) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    if isinstance(error, errors.Unauthorized):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, errors.Unavailable | errors.TooManyRequests):
        headers["retry-after"] = str(getattr(error, "retry_after_s", RETRY_AFTER_S))
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, RangeNotSatisfiable):
        headers["content-range"] = f"bytes */{error.size}"
    return headers


def invalid_request(error: ValidationError | RequestValidationError) -> InvalidRequest:
    """One sentence about the most deeply located thing wrong; never the value itself."""
    found = cast("Sequence[dict[str, object]]", error.errors())
    deepest = max(found, key=lambda entry: len(cast("tuple[object, ...]", entry["loc"])))
    names = [str(part) for part in cast("tuple[object, ...]", deepest["loc"])]
    # pydantic names the member of a union it tried: a type, not a place in the document.
    where = ".".join(name for name in names if re.fullmatch(r"[a-z_]+|\d+", name))
    others = f" (and {len(found) - 1} more)" if len(found) > 1 and where == "" else ""
    message = str(deepest["msg"]).removeprefix("Value error, ")
    return InvalidRequest(f"{where or 'the request'}: {message}{others}; see /openapi.json")


def install(app: FastAPI) -> None:
    """Make every error of the application, the framework's included, a problem."""

    async def on_error(request: Request, error: Exception) -> Response:
        return problem_response(request.scope, error)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(request.scope, invalid_request(error))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(request.scope, _of_framework(request, error))

    app.add_exception_handler(LorgnetteError, on_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _of_framework(request: Request, error: HTTPException) -> LorgnetteError:
    path, method = request.url.path, request.method
    if error.status_code == STATUS[errors.NotFound]:
        return errors.NotFound(f"there is no {path}: see /openapi.json for what there is")
    if error.status_code == STATUS[MethodNotAllowed]:
        allowed = _allowed(request)
        return MethodNotAllowed(
            f"{path} does not take {method}, only {' and '.join(allowed)}", allowed=allowed
        )
    if error.status_code < 500:
        return InvalidRequest(f"the request cannot be read: {error.detail}")
    return ServerFault(str(error.detail))


def _allowed(request: Request) -> tuple[str, ...]:
    """Every method that some route takes at this path; the framework names the first route's."""

    def is_taken(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return tuple(filter(is_taken, _METHODS))


def documented(*kinds: type[LorgnetteError]) -> dict[int | str, dict[str, object]]:
    """The `responses` of a route for OpenAPI: these errors, and the ones any request may meet."""
    always: tuple[type[LorgnetteError], ...] = (
        errors.Unavailable, ServerFault, errors.Forbidden, errors.BodyTooLarge, InvalidRequest,
        TooManyRequests,
    )  # fmt: skip
    codes: dict[int, list[str]] = {}
    for kind in (*kinds, *always):
        codes.setdefault(status_of(kind), []).append(kind.code)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(dict.fromkeys(found))}",
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, found in sorted(codes.items())
    }
