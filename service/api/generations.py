"""`/admin/generations` and `/admin/spaces`: what is live, rolling back, letting a space go."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict

from lorgnette.errors import Conflict, NotFound, Unauthorized
from lorgnette.manifest import Space
from service.api.doors import Ready, admin_door
from service.api.problems import PreconditionRequired, documented
from service.gallery import steering
from service.gallery.generations import GenerationManifest, etag_of
from service.gallery.records import Stale
from service.state import state_of

router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(admin_door)])

Number = Annotated[int, PathParameter(ge=1, le=2**53)]


class GenerationInfo(BaseModel):
    """A published generation. seq: it holds the writes up to this one; later ones are searched
    beside it. recall_at_10: against exact search, before it was published."""

    model_config = ConfigDict(frozen=True)

    generation: int
    space: Space
    count: int
    seq: int
    factory: str
    recall_at_10: float
    created_at: str
    is_live: bool

    @classmethod
    def of(cls, manifest: GenerationManifest, *, is_live: bool) -> GenerationInfo:
        """What the manifest says, without its files."""
        shown = manifest.model_dump(exclude={"schema_version", "files"})
        return cls(**shown, is_live=is_live)


class GenerationsResponse(BaseModel):
    """`GET /admin/generations`: newest first."""

    model_config = ConfigDict(frozen=True)

    generations: list[GenerationInfo]


@router.get("/generations", responses=documented(Unauthorized))
async def generations(request: Request, response: Response, opened: Ready) -> GenerationsResponse:
    """The generations on disk. The `ETag` names what is live, for `If-Match` of a promotion."""
    data = state_of(request).settings.data

    def look() -> tuple[str, list[tuple[GenerationManifest, bool]]]:
        return etag_of(data), steering.listed(data)

    etag, found = await opened.write_lane.call(look)
    response.headers["etag"] = f'"{etag}"'
    return GenerationsResponse(
        generations=[GenerationInfo.of(manifest, is_live=is_live) for manifest, is_live in found]
    )


@router.post(
    "/generations/{generation}/promote",
    responses=documented(Unauthorized, NotFound, Conflict, Stale, PreconditionRequired),
)
async def promote(
    generation: Number,
    request: Request,
    response: Response,
    opened: Ready,
    if_match: Annotated[str | None, Header(description="the ETag of /admin/generations")] = None,
) -> GenerationInfo:
    """Make a generation the live one of its space: the way back from one that disappoints.

    Its files are checked first. Every worker follows within a second.
    """
    if if_match is None:
        raise PreconditionRequired(
            "send If-Match with the ETag of GET /admin/generations, so that nobody else's "
            "decision is undone unseen"
        )
    data = state_of(request).settings.data
    expected = if_match.strip().removeprefix("W/").strip('"')

    def decide() -> tuple[GenerationManifest, str]:
        promoted = steering.promote(opened.catalogue, data, generation, expected=expected)
        return promoted, etag_of(data)

    manifest, etag = await opened.write_lane.call(decide)
    response.headers["etag"] = f'"{etag}"'
    return GenerationInfo.of(manifest, is_live=True)


class RetiredResponse(BaseModel):
    """`DELETE /admin/spaces/{space_id}`."""

    model_config = ConfigDict(frozen=True)

    retired: str


@router.delete("/spaces/{space_id}", responses=documented(Unauthorized, NotFound, Conflict))
async def retire(space_id: str, request: Request, opened: Ready) -> RetiredResponse:
    """Let a space go after a teacher upgrade: its students get 409 with those that fit.

    The last live space is refused.
    """
    data = state_of(request).settings.data
    await opened.write_lane.call(lambda: steering.retire(opened.catalogue, data, space_id))
    return RetiredResponse(retired=space_id)
