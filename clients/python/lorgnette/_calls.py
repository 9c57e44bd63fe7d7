"""What the client says, without saying how it is sent.

Every operation is a generator that yields a `Call`, is given back its `Answer`, and returns the
typed result. The blocking and the async client drive the same generators, so that no decision is
written twice.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypedDict, TypeVar, Unpack
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from lorgnette._answers import Answer, mismatch, parse
from lorgnette._options import SearchOptions, as_query, as_request
from lorgnette._photo import media_type
from lorgnette.errors import (
    InvalidConfiguration,
    InvalidRequest,
    ServerFault,
    SpaceMismatch,
    Unavailable,
)
from lorgnette.manifest import Space
from lorgnette.vectors import unit_rows
from lorgnette.wire import (
    Hit,
    Job,
    ModelsResponse,
    PackedVectors,
    ReindexRequest,
    SearchRequest,
    SearchResponse,
    SpaceInfo,
    SpacesResponse,
    StudentInfo,
)

T = TypeVar("T")


class Arguments(TypedDict):
    """Keyword arguments of `httpx.Client.stream`."""

    method: str
    url: str
    content: bytes | None
    params: Mapping[str, str | list[str]] | None
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Call:
    """One request. is_repeatable: doing it twice is the same as doing it once."""

    method: str
    path: str
    content: bytes | None = None
    content_type: str | None = None
    params: Mapping[str, str | list[str]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True

    def arguments(self) -> Arguments:
        """The call as httpx wants it."""
        typed = {} if self.content_type is None else {"Content-Type": self.content_type}
        return Arguments(
            method=self.method,
            url=self.path,
            content=self.content,
            params=self.params,
            headers={**self.headers, **typed},
        )


Steps = Generator[Call, Answer, T]


class Conversation:
    """The operations, and the one thing a client remembers: which spaces it has seen live."""

    def __init__(self) -> None:
        self._live: frozenset[Space] = frozenset()

    def spaces(self) -> Steps[list[SpaceInfo]]:
        """`GET /spaces`."""
        return parse((yield Call("GET", "/spaces")), SpacesResponse).spaces

    def models(self) -> Steps[list[StudentInfo]]:
        """`GET /models`."""
        return parse((yield Call("GET", "/models")), ModelsResponse).models

    def job(self, job_id: str) -> Steps[Job]:
        """`GET /admin/jobs/{id}`."""
        return parse((yield Call("GET", f"/admin/jobs/{segment(job_id)}")), Job)

    def reindex(self, factory: str | None) -> Steps[Job]:
        """`POST /admin/reindex`. Sent again only when the server cannot have received it."""
        content = ReindexRequest(factory=factory).model_dump_json(exclude_unset=True).encode()
        answer = yield Call(
            "POST",
            "/admin/reindex",
            content=content,
            content_type="application/json",
            is_repeatable=False,
        )
        return parse(answer, Job)

    def ensure_live(self, space: Space) -> Steps[None]:
        """The handshake: ask `GET /spaces` unless this space was already seen live."""
        if space not in self._live:
            yield from self._look_up(space)

    def search(
        self,
        rows: NDArray[np.floating],
        *,
        space: Space,
        student: str | None,
        k: int,
        **options: Unpack[SearchOptions],
    ) -> Steps[SearchResponse]:
        """Handshake, then `POST /search`; a 409 repeats both once, in case the space came back."""
        unit = unit_rows(np.asarray(rows), dim=space.dim)
        request = as_request(
            PackedVectors.pack(unit),
            space=space.id,
            student=student,
            k=_checked_k(k),
            given=options,
        )
        yield from self.ensure_live(space)
        try:
            return (yield from _post_search(request, count=len(unit)))
        except SpaceMismatch:
            self._live = frozenset()
        yield from self._look_up(space)
        return (yield from _post_search(request, count=len(unit)))

    def search_image(
        self, photo: bytes, *, space: str | None, k: int, **options: Unpack[SearchOptions]
    ) -> Steps[list[Hit]]:
        """`POST /search/image`: the photograph itself travels."""
        params = as_query(space=space, k=_checked_k(k), given=options)
        answer = yield Call(
            "POST", "/search/image", content=photo, content_type=media_type(photo), params=params
        )
        return _checked_results(parse(answer, SearchResponse), count=1).results[0]

    def _look_up(self, space: Space) -> Steps[None]:
        infos = yield from self.spaces()
        self._live = frozenset(info.space for info in infos)
        if not infos:
            raise Unavailable("the server has nothing indexed yet: index a gallery, then search")
        if space not in self._live:
            raise mismatch(space, infos)


def segment(text: str) -> str:
    """A path segment of a URL. Raises `InvalidRequest` for one that would change the path."""
    if text in ("", ".", ".."):
        raise InvalidRequest(f"{text!r} is not a name or an id")
    return quote(text, safe="")


def require_encoder(encoder: T | None) -> T:
    """The client's encoder. Raises `InvalidConfiguration` when it was made without one."""
    if encoder is None:
        raise InvalidConfiguration(
            "search embeds the photograph here and this client has no encoder: pass encoder=, "
            "or send the photograph itself with search_image"
        )
    return encoder


def _checked_k(k: int) -> int:
    if k < 1:
        raise InvalidRequest(f"k is {k}: expected the number of hits wanted, 1 or more")
    return k


def _post_search(request: SearchRequest, *, count: int) -> Steps[SearchResponse]:
    content = request.model_dump_json(by_alias=True, exclude_unset=True).encode()
    answer = yield Call("POST", "/search", content=content, content_type="application/json")
    response = _checked_results(parse(answer, SearchResponse), count=count)
    if response.space != request.space:
        raise ServerFault(f"asked in space {request.space!r}, answered in {response.space!r}")
    return response


def _checked_results(response: SearchResponse, *, count: int) -> SearchResponse:
    if len(response.results) != count:
        raise ServerFault(f"asked about {count} vectors, answered {len(response.results)}")
    return response
