"""The dependencies that stand before routes: which key opens them, and whether we are ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from lorgnette.errors import NotFound
from lorgnette.text import quoted
from service.headers import header_of
from service.scopes import Scope
from service.state import Opened, state_of

_bearer = HTTPBearer(
    auto_error=False, description="A key with this door's scope, or one with `admin`."
)
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def _door(*accepted: Scope) -> Callable[[Request, _Bearer], Awaitable[None]]:
    async def door(request: Request, bearer: _Bearer) -> None:
        """Raise `Unauthorized`, `Forbidden`, `TooManyRequests`."""
        _enter(request, bearer.credentials if bearer else None, *accepted)

    return door


def _enter(request: Request, token: str | None, *accepted: Scope) -> None:
    path: str = request.scope["path"]
    if path.endswith("\n"):
        # The router's patterns end before a last newline: it would be another route, another id.
        raise NotFound(f"there is no {quoted(path)}: see /openapi.json for what there is")
    state = state_of(request)
    key_id = state.keys.check(token, *accepted)
    # The log names who asked: the key's id, which is no secret.
    request.state.key_id = key_id
    state.rate.take(key_id)


search_door = _door(Scope.SEARCH)
models_door = _door(Scope.MODELS)
spaces_door = _door(Scope.SEARCH, Scope.MODELS)
metrics_door = _door(Scope.METRICS)
admin_door = _door(Scope.ADMIN)


class SearchRoute(APIRoute):
    """A route behind the search door, whose endpoint takes the request and nothing else.

    That `search_door` stands before it is for the OpenAPI document: FastAPI takes longer to solve
    dependencies than all else of a small search takes, so the door is opened here.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The door, then the endpoint."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint

        async def handler(request: Request) -> Response:
            offered = header_of(request.scope, b"authorization")
            scheme, token = get_authorization_scheme_param(offered)
            is_bearer = scheme.lower() == "bearer" and token
            _enter(request, token if is_bearer else None, Scope.SEARCH)
            return await endpoint(request)

        return handler


async def _opened(request: Request) -> Opened:
    return state_of(request).current()


Ready = Annotated[Opened, Depends(_opened)]
"""A route's parameter: the opened service, or 503."""
