"""`POST /admin/reindex` and the jobs it starts. The work is another process's."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict

from lorgnette.errors import (
    Conflict,
    DiskFull,
    InvalidConfiguration,
    InvalidRequest,
    NotFound,
    Unauthorized,
)
from lorgnette.text import quoted
from lorgnette.wire import Job, ReindexRequest
from service.api.body import (
    documented_body,
    documented_trigger,
    parse_json,
    read_body,
    require_json,
)
from service.api.doors import Ready, admin_door
from service.api.problems import ACCEPTED, RequestTimeout, UnsupportedMediaType, documented
from service.gallery.answers import KEY_PATTERN, REINDEX_ROUTE, Token
from service.jobs import (
    cancel_job,
    get_job,
    list_jobs,
    resume_job,
    start_reindex,
)
from service.reindex_plan import ReindexPlan
from service.settings import Settings
from service.state import Opened, state_of

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
    responses=documented(
        Unauthorized, Conflict, NotFound, UnsupportedMediaType, RequestTimeout, DiskFull
    ),
)
async def reindex(
    request: Request,
    opened: Ready,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="the same key and body start one job",
            json_schema_extra={"pattern": KEY_PATTERN},
        ),
    ] = None,
) -> Response:
    """Start a reindex: embed what the teacher has not seen, build a new generation, publish it.

    The answer comes at once; `Location` names the job. The old generation answers throughout. What
    would not fit into memory or on the disk is refused at once, with the figures.
    """
    require_json(request)
    body = await read_body(request)
    asked, token = parse_json(ReindexRequest, body), Token.of(REINDEX_ROUTE, idempotency_key, body)
    settings = state_of(request).settings
    return _accepted(
        await opened.job_lane.call(lambda: _start(opened, asked, settings=settings, token=token))
    )


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=ACCEPTED,
    response_model=Job,
    openapi_extra=documented_trigger(),
    responses=documented(Unauthorized, NotFound, Conflict, UnsupportedMediaType),
)
async def cancel(job_id: str, request: Request, opened: Ready) -> Response:
    """Ask a job to stop. It does within a second or two; what it committed is kept."""
    require_json(request)
    return _accepted(await opened.job_lane.call(lambda: cancel_job(opened.catalogue, job_id)))


@router.post(
    "/jobs/{job_id}/resume",
    status_code=ACCEPTED,
    response_model=Job,
    openapi_extra=documented_trigger(),
    responses=documented(Unauthorized, NotFound, Conflict, UnsupportedMediaType),
)
async def resume(job_id: str, request: Request, opened: Ready) -> Response:
    """Go on with a job that was interrupted or cancelled, or failed, where it stopped."""
    require_json(request)
    data = state_of(request).settings.data
    return _accepted(await opened.job_lane.call(lambda: resume_job(data, job_id)))


def _accepted(job: Job) -> Response:
    return Response(
        job.model_dump_json(),
        status_code=ACCEPTED,
        headers={"location": f"/admin/jobs/{job.id}", "retry-after": str(POLL_AFTER_S)},
        media_type="application/json",
    )


@router.get("/jobs", responses=documented(Unauthorized))
async def jobs(opened: Ready) -> JobsResponse:
    """The latest jobs, newest first."""
    return JobsResponse(jobs=await opened.search_lane.call(lambda: list_jobs(opened.catalogue)))


@router.get("/jobs/{job_id}", responses=documented(Unauthorized, NotFound))
async def job(job_id: str, opened: Ready) -> Job:
    """One job: its state, how far it is, and in the end its result or its problem."""
    return await opened.search_lane.call(lambda: get_job(opened.catalogue, job_id))


def _check_factory(factory: str | None) -> None:
    """Only the characters FAISS's factory strings are made of reach the job's command line."""
    if factory is not None and re.fullmatch(r"[A-Za-z0-9_,()\[\]:.=-]{1,128}", factory) is None:
        raise InvalidRequest(
            "factory: expected a FAISS factory string such as 'Flat' or 'IVF256,SQ8', "
            f"found {quoted(factory)}: leave it out to keep the configured one"
        )


def _start(
    opened: Opened, asked: ReindexRequest, *, settings: Settings, token: Token | None
) -> Job:
    _check_factory(asked.factory)
    if asked.teacher is not None:
        teacher = opened.teachers.named(asked.teacher)
    else:
        teacher = opened.teachers.present(opened.catalogue)
    plan = ReindexPlan(
        teacher=teacher,
        factory=asked.factory or settings.factory,
        recall_gate=settings.recall_gate,
        students=settings.students,
    )
    try:
        return start_reindex(settings.data, plan, token=token)
    except InvalidConfiguration as error:
        raise InvalidRequest(f"factory: {error}") from error
