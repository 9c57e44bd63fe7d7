"""The dependencies that stand before routes: which key opens them, and whether we are ready."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.state import Opened, state_of

_bearer = HTTPBearer(
    auto_error=False, description="The search key, or the admin key, which opens both doors."
)
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def search_door(request: Request, bearer: _Bearer) -> None:
    """Let the search or the admin key through. Raises `Unauthorized`."""
    token = bearer.credentials if bearer else None
    state_of(request).keys.check(token, "search")


async def admin_door(request: Request, bearer: _Bearer) -> None:
    """Let the admin key through. Raises `Unauthorized`, `Forbidden`."""
    token = bearer.credentials if bearer else None
    state_of(request).keys.check(token, "admin")


async def _opened(request: Request) -> Opened:
    return state_of(request).current()


Ready = Annotated[Opened, Depends(_opened)]
"""A route's parameter: the opened service, or 503."""
