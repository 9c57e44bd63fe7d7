"""`GET /healthz`: the process answers. `GET /readyz`: so does the gallery."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from service.api.doors import Ready
from service.api.problems import documented

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """`status` is always "ok": a process that is not well does not answer."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The spaces that answer, and how many items they hold together."""

    status: Literal["ready"] = "ready"
    spaces: list[str]
    count: int


@router.get("/healthz", responses=documented())
async def healthz() -> Health:
    """Say that the process is alive; nothing else is looked at."""
    return Health()


@router.get("/readyz", responses=documented())
async def readyz(opened: Ready) -> Readiness:
    """Say whether a search would be answered; 503 with the reason while it would not."""
    snapshots = opened.live()
    return Readiness(
        spaces=[snapshot.space.id for snapshot in snapshots],
        count=sum(snapshot.count for snapshot in snapshots),
    )
