"""`GET /healthz`: the process answers. `GET /readyz`: so does the gallery. `GET /metrics`."""

from __future__ import annotations

from typing import Literal

import anyio.to_thread
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from lorgnette.errors import Unauthorized
from service.api.doors import Ready, metrics_door
from service.api.problems import OK, documented
from service.gauges import Gauges
from service.state import state_of

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


@router.get(
    "/metrics",
    dependencies=[Depends(metrics_door)],
    response_class=Response,
    responses={
        OK: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **documented(Unauthorized),
    },
)
async def metrics(request: Request) -> Response:
    """What happened since the start, and how it stands, for Prometheus; also while not ready."""
    state = state_of(request)
    text = await anyio.to_thread.run_sync(state.metrics.render, [Gauges(state)])
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})
