"""The dependencies that stand before routes: which key opens them, and whether we are ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.scopes import Scope
from service.state import Opened, state_of

_bearer = HTTPBearer(
    auto_error=False, description="A key with this door's scope, or one with `admin`."
)
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def _door(*accepted: Scope) -> Callable[[Request, _Bearer], Awaitable[None]]:
    async def door(request: Request, bearer: _Bearer) -> None:
        """Raise `Unauthorized`, `Forbidden`, `TooManyRequests`."""
        state = state_of(request)
        key_id = state.keys.check(bearer.credentials if bearer else None, *accepted)
        # The log names who asked: the key's id, which is no secret.
        request.state.key_id = key_id
        state.rate.take(key_id)

    return door


search_door = _door(Scope.SEARCH)
models_door = _door(Scope.MODELS)
spaces_door = _door(Scope.SEARCH, Scope.MODELS)
metrics_door = _door(Scope.METRICS)
admin_door = _door(Scope.ADMIN)


async def _opened(request: Request) -> Opened:
    return state_of(request).current()


Ready = Annotated[Opened, Depends(_opened)]
"""A route's parameter: the opened service, or 503."""
