"""Reading request bodies: never more than allowed, never slower than a phone would send."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lorgnette.errors import BodyTooLarge
from service.api.problems import (
    RequestTimeout,
    UnsupportedMediaType,
    invalid_request,
    problem_response,
)
from service.headers import header_of

BODY_TIMEOUT_S = 60.0
"""Long enough for a photograph over a bad connection, short enough to free its place."""

_SHOWN_CHARS = 100

Model = TypeVar("Model", bound=BaseModel)


class BodyLimit:
    """ASGI middleware: 413 by `Content-Length`, and while streaming when that lied or was absent.

    limits: bytes by path, for routes that differ from `default`; one that ends in a slash means
    everything below it.
    """

    def __init__(self, app: ASGIApp, *, default: int, limits: Mapping[str, int]) -> None:
        self._app = app
        self._default = default
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_of(scope["path"])
        stated = header_of(scope, b"content-length") or "0"
        # No server in front of us lets a malformed one through; then the count below decides.
        if stated.isdecimal() and int(stated) > limit:
            await problem_response(scope, _too_large(limit))(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit=limit), send)

    def _limit_of(self, path: str) -> int:
        for known, limit in self._limits.items():
            if path == known or (known.endswith("/") and path.startswith(known)):
                return limit
        return self._default


def _counted(receive: Receive, *, limit: int) -> Receive:
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return counted


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is longer than {limit:,} bytes: send fewer or smaller parts")


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises `BodyTooLarge`; `RequestTimeout` after `BODY_TIMEOUT_S`, or when the caller went away.
    """
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.body()
    except ClientDisconnect as error:
        raise RequestTimeout("the connection ended before the body did: send it again") from error
    except TimeoutError as error:
        raise RequestTimeout(
            f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s: send it again"
        ) from error


OCTETS = "application/octet-stream"


def media_type(request: Request, *taken: str) -> str:
    """The body's content type, one of those taken. Raises `UnsupportedMediaType`.

    A web page of another origin cannot send such a type without asking first (CORS), and unless
    the settings name the page this service says no: so it can make no browser press these buttons.
    """
    sent = header_of(request.scope, b"content-type").partition(";")[0].strip().lower()
    if sent not in taken:
        raise UnsupportedMediaType(
            f"expected Content-Type {' or '.join(taken)}, found {sent[:_SHOWN_CHARS] or 'none'!r}: "
            "send the body as that and say so"
        )
    return sent


def require_json(request: Request) -> None:
    """Raise `UnsupportedMediaType` for a body that does not say it is JSON."""
    media_type(request, "application/json")


def parse_json(model: type[Model], body: bytes) -> Model:
    """Validate JSON strictly: "1" is no number, and depth is bounded. Raises `InvalidRequest`."""
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise invalid_request(error) from None


def documented_body(model: type[BaseModel], *, is_binary_too: bool = False) -> dict[str, object]:
    """`openapi_extra` of a route that reads its own body as this model, or as raw bytes."""
    schema: dict[str, object] = {"$ref": f"#/components/schemas/{model.__name__}"}
    content: dict[str, object] = {"application/json": {"schema": schema}}
    if is_binary_too:
        content[OCTETS] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": content}}


def documented_trigger() -> dict[str, object]:
    """`openapi_extra` of a route that takes a body only so that no web page's form can press it."""
    content: dict[str, object] = {"application/json": {"schema": {}, "example": {}}}
    description = "Any JSON, such as {}: that it says it is JSON is what counts."
    return {"requestBody": {"required": True, "description": description, "content": content}}
