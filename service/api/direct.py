"""The way of a search past the framework: FastAPI's router takes longer than a small search."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from lorgnette.errors import LorgnetteError
from service.api.problems import problem_response


class Direct:
    """ASGI middleware, the innermost: the handlers of these routes are called here.

    routes: with fixed paths, whose handlers need of FastAPI nothing but the request. Any other
    method or path goes on to the framework, which has the routes too and documents them.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._handlers = {
            (method, route.path): (route, route.get_route_handler())
            for route in routes
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        found = self._handlers.get((scope.get("method", ""), scope.get("path", "")))
        if found is None:
            await self._app(scope, receive, send)
            return
        # What the log, the metrics and the traces know a request by.
        scope["route"], handler = found
        try:
            response = await handler(Request(scope, receive, send))
        except LorgnetteError as error:
            response = problem_response(scope, error)
        await response(scope, receive, send)
