"""What came back from the server, and which typed value or error it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from lorgnette import errors
from lorgnette._faults import first_fault
from lorgnette.error_codes import by_code
from lorgnette.errors import LorgnetteError, ServerFault, SpaceMismatch, TimedOut, Unreachable
from lorgnette.manifest import Space
from lorgnette.wire import Problem, SpaceInfo

M = TypeVar("M", bound=BaseModel)

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""An answer longer than this is not read to its end."""

_MAX_QUOTED = 200

_BY_STATUS: dict[int, type[LorgnetteError]] = {
    400: errors.InvalidRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.NotFound,
    408: errors.TimedOut,
    409: errors.Conflict,
    413: errors.BodyTooLarge,
    422: errors.InvalidRequest,
    429: errors.TooManyRequests,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}


@dataclass(frozen=True)
class Answer:
    """A response read to its end. headers: keys in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


def parse(answer: Answer, model: type[M]) -> M:
    """The body as `model`. Raises the error the server named, or `ServerFault` for nonsense."""
    require_success(answer)
    try:
        return model.model_validate_json(answer.body)
    except ValidationError as error:
        raise ServerFault(
            f"{answer.url} answered {answer.status} with something that is not a "
            f"{model.__name__} ({first_fault(error)}): is this the address of a lorgnette "
            f"service? {_quoted(answer.body)}"
        ) from error


def require_success(answer: Answer) -> None:
    """Raise the error an answer stands for unless its status is 2xx or 304."""
    if 200 <= answer.status < 300 or answer.status == 304:
        return
    raise error_of(answer)


def error_of(answer: Answer) -> LorgnetteError:
    """The error a non-2xx answer stands for: by the problem's code, else by the status."""
    if 300 <= answer.status < 400:
        target = answer.headers.get("location", "another address")
        return errors.InvalidConfiguration(
            f"{answer.url} redirects to {target}: give that address as the server's"
        )
    try:
        problem = Problem.model_validate_json(answer.body)
    except ValidationError:
        plain = f"{answer.url} answered {answer.status}. {_quoted(answer.body)}".strip()
        return _class_of(answer.status)(plain + _request_id(answer))
    kind = by_code(problem.code)
    message = (problem.detail or problem.title) + _request_id(answer)
    if issubclass(kind, SpaceMismatch):
        return SpaceMismatch(
            message,
            expected=tuple(problem.expected),
            found=problem.found,
            students=tuple(problem.students),
        )
    # A code newer than this SDK still has a status whose class a caller can handle.
    return (_class_of(answer.status) if kind is LorgnetteError else kind)(message)


def unreachable(error: httpx.TransportError, *, url: str) -> LorgnetteError:
    """The error that "no answer" stands for."""
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"{url} did not answer in the time allowed ({reason}): raise timeout_s")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return errors.InvalidConfiguration(f"cannot send a request to {url}: {reason}")
    return Unreachable(f"no answer from {url}: {reason}; is the server running there?")


def _class_of(status: int) -> type[LorgnetteError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return errors.RefusedByServer if 400 <= status < 500 else ServerFault


def _request_id(answer: Answer) -> str:
    found = answer.headers.get("x-request-id")
    return f" (request id {found})" if found and answer.status >= 500 else ""


def _quoted(body: bytes) -> str:
    text = " ".join(body[: 4 * _MAX_QUOTED].decode("utf-8", errors="replace").split())
    if not text:
        return "Its body is empty."
    return f"It begins: {text[:_MAX_QUOTED]!r}"


def mismatch(space: Space, infos: list[SpaceInfo]) -> SpaceMismatch:
    """The error of a space that none of the live ones is."""
    live = tuple(info.space.id for info in infos)
    students = tuple(student.name for info in infos for student in info.students)
    speaks = ", ".join(map(repr, live))
    way_out = (
        f"pull a student that fits ({', '.join(students)}) with `lorgnette pull`"
        if students
        else "ask the server's operator for a student of that space"
    )
    return SpaceMismatch(
        f"the encoder speaks space {space.id!r}, the server {speaks}: {way_out}",
        expected=live,
        found=space.id,
        students=students,
    )
