"""`POST /search` and `POST /search/image`: vectors or a photograph in, the nearest items out."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from lorgnette.errors import (
    ImageTooLarge,
    InvalidImage,
    InvalidRequest,
    InvalidVector,
    NotFound,
    SpaceMismatch,
    Unauthorized,
)
from lorgnette.text import quoted
from lorgnette.vectors import from_bytes, unit_rows
from lorgnette.wire import SearchRequest, SearchResponse
from service.answering import Asking, Question, aligned, answer
from service.api.body import OCTETS, documented_body, media_type, parse_json, read_body
from service.api.doors import SearchRoute, search_door
from service.api.problems import RequestTimeout, UnsupportedMediaType, documented
from service.api.search_query import (
    ImageQuery,
    VectorsQuery,
    check_limits,
    documented_query,
    read_query,
)
from service.gallery.snapshot import Snapshot
from service.settings import Settings
from service.stages import Stages
from service.state import Opened, state_of
from service.students import Student

router = APIRouter(
    tags=["search"], dependencies=[Depends(search_door)], route_class=SearchRoute
)  # fmt: skip

IMAGE_PATH = "/search/image"

_SHOWN_CHARS = 100
"""No space's id is longer; what a request calls one is repeated to it only so far."""


@router.post(
    "/search",
    response_model=SearchResponse,
    openapi_extra={
        "parameters": documented_query(VectorsQuery),
        **documented_body(SearchRequest, is_binary_too=True),
    },
    responses=documented(
        Unauthorized, SpaceMismatch, InvalidVector, UnsupportedMediaType, RequestTimeout
    ),
)  # fmt: skip
async def search(request: Request) -> Response:
    """Find the nearest items to each vector.

    As JSON, or raw: `application/octet-stream` holds the rows, the query string `space`, `dtype`
    and the options. `space` names the space of the vectors; one the gallery does not hold is
    refused with the students that would fit. `student` names who embedded them, as
    `name@version`: the gallery maps them by what it has learned about that student, if it has.
    `results[i]` answers row i; all of them come from one generation. `Server-Timing` says what the
    time was spent on.
    """
    opened = state_of(request).current()
    query = read_query(VectorsQuery, request.scope["query_string"])
    kind = media_type(request, "application/json", OCTETS)
    settings, stages = state_of(request).settings, Stages(opened.metrics)
    with opened.search_lane.admit():
        with stages.stage("read"):
            body = await read_body(request)

        def question() -> Question:
            if kind == OCTETS:
                return _of_bytes(opened, body, query, stages=stages, settings=settings)
            _require_none(request)
            return _of_json(opened, body, stages=stages, settings=settings)

        answered = await opened.searches.run(Asking(opened, question, stages))
    return _response(answered, stages)


@router.post(
    IMAGE_PATH,
    response_model=SearchResponse,
    openapi_extra={
        "parameters": documented_query(ImageQuery),
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
async def search_image(request: Request) -> Response:
    """Find the nearest items to a photograph, for clients that cannot run a student themselves.

    The body is the encoded image itself (JPEG, PNG, WebP, BMP, TIFF). Nothing of it is kept.
    """
    opened = state_of(request).current()
    query = read_query(ImageQuery, request.scope["query_string"])
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise UnsupportedMediaType(
            "expected the image itself as the body, found a multipart form: "
            "send it as `curl --data-binary @photo.jpg` does"
        )
    options, stages = query.options(), Stages(opened.metrics)
    check_limits(options, settings=state_of(request).settings)
    with opened.encode_lane.admit():
        with stages.stage("read"):
            body = await read_body(request)
        student, snapshot = _student_for(opened, query.space)
        with stages.stage("encode"):
            row = await opened.encode_lane.run(lambda: student.encoder.encode(body))
    plain = Question(row[None, :], snapshot, options, student=student.encoder.identity)

    def work() -> tuple[Question, bytes]:
        question = aligned(opened, plain, stages=stages)
        return question, answer(opened, question, stages=stages)

    with opened.search_lane.admit():
        question, answered = await opened.search_lane.run(work)
    opened.monitor.offer(body, question.rows, snapshot, alignment=question.alignment)
    return _response(answered, stages)


def _response(answered: bytes, stages: Stages) -> Response:
    return Response(
        answered, media_type="application/json", headers={"server-timing": stages.header()}
    )


def _require_none(request: Request) -> None:
    if request.scope["query_string"]:
        raise InvalidRequest(
            "expected the options in the JSON body, found a query string: it is for raw vectors"
        )


def _of_json(opened: Opened, body: bytes, *, stages: Stages, settings: Settings) -> Question:
    """Parse and check; blocking. The space is checked before the vectors."""
    with stages.stage("parse"):
        asked = parse_json(SearchRequest, body)
        check_limits(asked, settings=settings)
        snapshot = _live_snapshot(opened, asked.space)
        rows = unit_rows(asked.rows(dim=snapshot.space.dim), dim=snapshot.space.dim)
    return _few(Question(rows, snapshot, asked, student=asked.student), settings=settings)


def _of_bytes(
    opened: Opened, body: bytes, query: VectorsQuery, *, stages: Stages, settings: Settings
) -> Question:
    """The same of raw rows."""
    with stages.stage("parse"):
        options = query.options()
        check_limits(options, settings=settings)
        if query.space is None or query.dtype is None:
            raise InvalidRequest(
                "raw vectors need space and dtype in the query string: "
                "/search?space=ID&dtype=f16, the body being the rows"
            )
        snapshot = _live_snapshot(opened, query.space)
        dim = snapshot.space.dim
        rows = unit_rows(from_bytes(body, dtype=query.dtype, dim=dim), dim=dim)
    return _few(Question(rows, snapshot, options, student=query.student), settings=settings)


def _few(question: Question, *, settings: Settings) -> Question:
    """The question, unless it has more rows than are answered at once."""
    if len(question.rows) > settings.max_batch:
        raise InvalidRequest(
            f"expected at most {settings.max_batch} vectors a request, found "
            f"{len(question.rows)}: send them in several"
        )
    return question


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
            f"{quoted(space_id)}: {way_out}",
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
