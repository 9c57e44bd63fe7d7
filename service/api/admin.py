"""`POST /admin/reindex` and the jobs it starts. The work is another process's."""

from __future__ import annotations

import re

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict

from lorgnette.bundle import read_manifest
from lorgnette.errors import Conflict, InvalidBundle, InvalidRequest, NotFound, Unauthorized
from lorgnette.wire import Job, ReindexRequest
from service.api.body import documented_body, parse_json, read_body, require_json
from service.api.doors import Ready, admin_door
from service.api.problems import ACCEPTED, RequestTimeout, UnsupportedMediaType, documented
from service.jobs import get_job, list_jobs, start_reindex
from service.settings import Settings
from service.state import state_of

router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(admin_door)])

POLL_AFTER_S = 1


class JobsResponse(BaseModel):
    """`GET /admin/jobs`: newest first."""

    model_config = ConfigDict(frozen=True)

    jobs: list[Job]


@router.post(
    "/reindex",
    status_code=ACCEPTED,
    response_model=Job,
    openapi_extra=documented_body(ReindexRequest),
    responses=documented(Unauthorized, Conflict, UnsupportedMediaType, RequestTimeout),
)
async def reindex(request: Request, opened: Ready) -> Response:
    """Start a reindex: embed what the teacher has not seen, build a new generation, publish it.

    The answer comes at once; `Location` names the job. The old generation answers throughout.
    """
    require_json(request)
    asked = parse_json(ReindexRequest, await read_body(request))
    settings = state_of(request).settings
    job = await opened.search_lane.run(lambda: _start(asked, settings=settings))
    return Response(
        job.model_dump_json(),
        status_code=ACCEPTED,
        headers={"location": f"/admin/jobs/{job.id}", "retry-after": str(POLL_AFTER_S)},
        media_type="application/json",
    )


@router.get("/jobs", responses=documented(Unauthorized))
async def jobs(opened: Ready) -> JobsResponse:
    """The latest jobs, newest first."""
    return JobsResponse(jobs=await opened.search_lane.run(lambda: list_jobs(opened.catalogue)))


@router.get("/jobs/{job_id}", responses=documented(Unauthorized, NotFound))
async def job(job_id: str, opened: Ready) -> Job:
    """One job: its state, how far it is, and in the end its result or its problem."""
    return await opened.search_lane.run(lambda: get_job(opened.catalogue, job_id))


def _check_factory(factory: str | None) -> None:
    """Only the characters FAISS's factory strings are made of reach the job's command line."""
    if factory is not None and re.fullmatch(r"[A-Za-z0-9_,()\[\]:.=-]{1,128}", factory) is None:
        raise InvalidRequest(
            "factory: expected a FAISS factory string such as 'Flat' or 'IVF256,SQ8', "
            f"found {factory[:40]!r}: leave it out to keep the configured one"
        )


def _start(asked: ReindexRequest, *, settings: Settings) -> Job:
    _check_factory(asked.factory)
    try:
        read_manifest(settings.teacher)
    except InvalidBundle as error:
        raise Conflict(
            "this server has no teacher to embed with: start it with --teacher naming a bundle"
        ) from error
    return start_reindex(
        settings.data,
        teacher=settings.teacher,
        factory=asked.factory or settings.factory,
        recall_gate=settings.recall_gate,
    )
