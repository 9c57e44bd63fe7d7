"""A search goes past the framework; what is no search does not."""

from __future__ import annotations

import asyncio

import pytest
from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send

from service.api import search
from service.api.direct import Direct


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http", "method": "GET", "path": "/search"},
        {"type": "http", "method": "POST", "path": "/search\n"},
        {"type": "http", "method": "POST", "path": "/spaces"},
        {"type": "lifespan"},
    ],
)
def test_what_is_no_search_goes_on_to_the_framework(scope: Scope) -> None:
    passed: list[Scope] = []

    async def framework(scope: Scope, _receive: Receive, _send: Send) -> None:
        passed.append(scope)

    async def receive() -> Message:
        raise AssertionError("nothing here reads a body")

    async def send(_message: Message) -> None:
        raise AssertionError("nothing here answers")

    routes = [route for route in search.router.routes if isinstance(route, APIRoute)]
    asyncio.run(Direct(framework, routes=routes)(scope, receive, send))
    assert passed == [scope]
