"""`GET /admin/jobs/{id}/events`: a job as server-sent events, until it is over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import StreamingResponse

from lorgnette.errors import NotFound, Unauthorized
from lorgnette.wire import Job
from service.api.doors import Ready, admin_door
from service.api.problems import OK, documented
from service.jobs import FINAL, revision_of
from service.state import Opened, ServiceState, state_of

router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(admin_door)])

LOOK_EVERY_S = 0.25
HEARTBEAT_S = 10.0

# As FastAPI and OpenAPI 3.2 write it: what each event is, the stream being a sequence of them.
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"enum": ["job", "draining"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "anyOf": [
                    {"$ref": "#/components/schemas/Job"},
                    {"type": "object", "properties": {"detail": {"type": "string"}}},
                ]
            },
        },
        "retry": {"type": "integer"},
    },
    "required": ["data"],
}
_RETRY = b"retry: 1000\n\n"
_DRAINING = b'event: draining\ndata: {"detail": "the server is shutting down"}\n\n'


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        OK: {"content": {"text/event-stream": {"itemSchema": _EVENT}}},
        **documented(Unauthorized, NotFound),
    },
)
async def events(
    job_id: str,
    request: Request,
    opened: Ready,
    last_event_id: Annotated[
        str | None, Header(description="the last id seen; what changed since is sent")
    ] = None,
) -> StreamingResponse:
    """Follow a job. Every event holds the whole job, so a reader that comes back missed nothing.

    Comments come while nothing changes; the stream ends with the event of a final state. A server
    that is told to stop ends it at once with the event `draining`: ask another, or come back.
    """
    state = state_of(request)
    # Before the answer begins: an unknown job is a 404, one stream too many a 503.
    with opened.event_lane.admit():
        await _look(opened, job_id)
    return StreamingResponse(
        _stream(state, opened, job_id, seen=last_event_id or ""),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _look(opened: Opened, job_id: str) -> tuple[str, Job]:
    return await opened.event_lane.run(lambda: revision_of(opened.catalogue, job_id))


async def _stream(
    state: ServiceState, opened: Opened, job_id: str, *, seen: str
) -> AsyncIterator[bytes]:
    with opened.event_lane.admit():
        yield _RETRY
        said = time.monotonic()
        while not state.is_draining:
            revision, job = await _look(opened, job_id)
            if revision != seen:
                seen, said = revision, time.monotonic()
                yield f"id: {revision}\nevent: job\ndata: {job.model_dump_json()}\n\n".encode()
            if job.state in FINAL:
                return
            if time.monotonic() - said > HEARTBEAT_S:
                said = time.monotonic()
                yield b": still here\n\n"
            await anyio.sleep(LOOK_EVERY_S)
        yield _DRAINING
