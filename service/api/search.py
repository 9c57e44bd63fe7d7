"""`POST /search` and `POST /search/image`: vectors or a photograph in, the nearest items out."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from lorgnette.errors import (
    ImageTooLarge,
    InvalidImage,
    InvalidRequest,
    InvalidVector,
    NotFound,
    SpaceMismatch,
    Unauthorized,
)
from lorgnette.vectors import Vectors, unit_rows
from lorgnette.wire import DEFAULT_K, Hit, SearchRequest, SearchResponse
from service.api.body import documented_body, parse_json, read_body, require_json
from service.api.doors import Ready, search_door
from service.api.problems import RequestTimeout, UnsupportedMediaType, documented
from service.gallery.snapshot import Snapshot
from service.settings import Settings
from service.state import Opened, state_of
from service.students import Student

router = APIRouter(tags=["search"], dependencies=[Depends(search_door)])

IMAGE_PATH = "/search/image"

_SHOWN_CHARS = 100
"""No space's id is longer; what a request calls one is repeated to it only so far."""


@router.post(
    "/search",
    response_model=SearchResponse,
    openapi_extra=documented_body(SearchRequest),
    responses=documented(
        Unauthorized, SpaceMismatch, InvalidVector, UnsupportedMediaType, RequestTimeout
    ),
)  # fmt: skip
async def search(request: Request, opened: Ready) -> Response:
    """Find the nearest items to each vector.

    `space` names the space of the vectors; one the gallery does not hold is refused with the
    students that would fit. `results[i]` answers row i; all of them come from one generation.
    """
    require_json(request)
    settings = state_of(request).settings
    with opened.search_lane.admit():
        with opened.metrics.stage("read"):
            body = await read_body(request)
        answer = await opened.search_lane.run(lambda: _answer(opened, body, settings=settings))
    return Response(answer, media_type="application/json")


class ImageQuery(BaseModel):
    """Query parameters of `POST /search/image`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: Annotated[int, Field(ge=1, description="hits wanted")] = DEFAULT_K
    space: Annotated[
        str | None, Field(description="may be left out while one live space has a student here")
    ] = None


@router.post(
    IMAGE_PATH,
    response_model=SearchResponse,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    responses=documented(
        Unauthorized, SpaceMismatch, NotFound, InvalidImage, ImageTooLarge,
        UnsupportedMediaType, RequestTimeout,
    ),
)  # fmt: skip
async def search_image(
    request: Request, opened: Ready, query: Annotated[ImageQuery, Query()]
) -> Response:
    """Find the nearest items to a photograph, for clients that cannot run a student themselves.

    The body is the encoded image itself (JPEG, PNG, WebP, BMP, TIFF). Nothing of it is kept.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise UnsupportedMediaType(
            "expected the image itself as the body, found a multipart form: "
            "send it as `curl --data-binary @photo.jpg` does"
        )
    settings = state_of(request).settings
    _check_k(query.k, settings=settings)
    started = time.perf_counter()
    with opened.encode_lane.admit():
        with opened.metrics.stage("read"):
            body = await read_body(request)
        student, snapshot = _student_for(opened, query.space)
        with opened.metrics.stage("encode"):
            row = await opened.encode_lane.run(lambda: student.encoder.encode(body))
    with opened.search_lane.admit():
        answer = await opened.search_lane.run(
            lambda: _found(opened, snapshot, row[None, :], k=query.k, started=started)
        )
    opened.monitor.offer(body, row[None, :], snapshot)
    return Response(answer, media_type="application/json")


def _answer(opened: Opened, body: bytes, *, settings: Settings) -> bytes:
    """Parse, check, search and render; blocking. The space is checked before the vectors."""
    started = time.perf_counter()
    with opened.metrics.stage("parse"):
        asked = parse_json(SearchRequest, body)
    _check_k(asked.k, settings=settings)
    snapshot = _live_snapshot(opened, asked.space)
    rows = unit_rows(asked.rows(dim=snapshot.space.dim), dim=snapshot.space.dim)
    if len(rows) > settings.max_batch:
        raise InvalidRequest(
            f"expected at most {settings.max_batch} vectors a request, found {len(rows)}: "
            "send them in several"
        )
    return _found(opened, snapshot, rows, k=asked.k, started=started)


def _check_k(k: int, *, settings: Settings) -> None:
    if k > settings.max_k:
        raise InvalidRequest(f"k: expected at most {settings.max_k}, found {k}: ask for fewer hits")


def _live_snapshot(opened: Opened, space_id: str) -> Snapshot:
    """The one snapshot a request sees.

    Raises `SpaceMismatch` naming the students that fit, `Unavailable` for an empty gallery.
    """
    try:
        return opened.gallery.snapshot(space_id)
    except SpaceMismatch as error:
        fitting = tuple(student.name for student in opened.students.fitting(error.expected))
        way_out = (
            f"fetch a student that fits ({', '.join(fitting)}) from /models"
            if fitting
            else "use a student of that space"
        )
        raise SpaceMismatch(
            f"this gallery speaks {' and '.join(error.expected)}, the query speaks "
            f"{space_id[:_SHOWN_CHARS]!r}: {way_out}",
            expected=error.expected,
            found=space_id[:_SHOWN_CHARS],
            students=fitting,
        ) from error


def _student_for(opened: Opened, space_id: str | None) -> tuple[Student, Snapshot]:
    """The student that encodes for a space, and the space's snapshot."""
    if space_id is None:
        space_id = _only_space(opened)
    snapshot = _live_snapshot(opened, space_id)
    students = opened.students.fitting((space_id,))
    if not students:
        raise NotFound(
            f"this server holds no student of {space_id!r}: encode on the device and POST /search"
        )
    return students[0], snapshot


def _only_space(opened: Opened) -> str:
    live = [snapshot.space.id for snapshot in opened.live()]
    able = [space_id for space_id in live if opened.students.fitting((space_id,))]
    if len(able) > 1:
        raise InvalidRequest(f"space: several are live, choose one of {', '.join(able)}")
    return (able or live)[0]


def _found(opened: Opened, snapshot: Snapshot, rows: Vectors, *, k: int, started: float) -> bytes:
    """Search and render; blocking. An item deleted since the snapshot is left out."""
    with opened.metrics.stage("search"):
        found = snapshot.search(rows, k=k)
    opened.drift.searched(snapshot.space.id, [row[0].score for row in found if row])
    with opened.metrics.stage("metadata"):
        items = opened.catalogue.items([hit.key for row in found for hit in row])
    results = [
        [
            Hit(id=items[hit.key].id, score=hit.score, metadata=items[hit.key].metadata)
            for hit in row
            if hit.key in items
        ]
        for row in found
    ]
    response = SearchResponse(
        space=snapshot.space.id,
        generation=snapshot.generation,
        results=results,
        took_ms=round((time.perf_counter() - started) * 1000, 3),
    )
    return response.model_dump_json().encode()
