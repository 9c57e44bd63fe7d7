"""`/admin/snapshots`: take one, list them, go back to one, delete one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field

from lorgnette.errors import Conflict, DiskFull, NotFound, Unauthorized
from service.api.body import (
    documented_body,
    documented_trigger,
    parse_json,
    read_body,
    require_json,
)
from service.api.doors import Ready, admin_door
from service.api.problems import CREATED, RequestTimeout, UnsupportedMediaType, documented
from service.gallery import backup
from service.gallery.backup import NAME_PATTERN, SnapshotManifest
from service.gallery.restore import restore as restore_gallery
from service.state import state_of

router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(admin_door)])

SnapshotName = Annotated[str, PathParameter(json_schema_extra={"pattern": NAME_PATTERN})]


class SnapshotBody(BaseModel):
    """`POST /admin/snapshots`. name: letters, digits, - and _; the time, when left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str | None, Field(json_schema_extra={"pattern": NAME_PATTERN})] = None


class SnapshotInfo(BaseModel):
    """A snapshot. seq: the last write it holds; bytes: of all its files, links included."""

    model_config = ConfigDict(frozen=True)

    name: str
    created_at: str
    seq: int
    items: int
    bytes: int

    @classmethod
    def of(cls, manifest: SnapshotManifest) -> SnapshotInfo:
        """What the manifest says, in short."""
        return cls(
            name=manifest.name,
            created_at=manifest.created_at,
            seq=manifest.seq,
            items=manifest.items,
            bytes=manifest.total_bytes,
        )


class SnapshotsResponse(BaseModel):
    """`GET /admin/snapshots`: newest first."""

    model_config = ConfigDict(frozen=True)

    snapshots: list[SnapshotInfo]


@router.get("/snapshots", responses=documented(Unauthorized))
async def snapshots(request: Request, opened: Ready) -> SnapshotsResponse:
    """The snapshots that can be read."""
    data = state_of(request).settings.data
    return _response(await opened.job_lane.call(lambda: backup.listed(data)))


@router.post(
    "/snapshots",
    status_code=CREATED,
    openapi_extra=documented_body(SnapshotBody),
    responses=documented(Unauthorized, Conflict, UnsupportedMediaType, RequestTimeout, DiskFull),
)
async def take_snapshot(request: Request, opened: Ready) -> SnapshotInfo:
    """Take a snapshot of this moment, while searches and writes go on."""
    require_json(request)
    asked = parse_json(SnapshotBody, await read_body(request))
    data = state_of(request).settings.data
    taken = await opened.job_lane.call(
        lambda: backup.create(opened.catalogue, data, name=asked.name)
    )
    return SnapshotInfo.of(taken)


@router.post(
    "/snapshots/{name}/restore",
    openapi_extra=documented_trigger(),
    responses=documented(Unauthorized, NotFound, Conflict, UnsupportedMediaType, DiskFull),
)
async def restore(name: SnapshotName, request: Request, opened: Ready) -> SnapshotInfo:
    """Make the gallery what it was then; what was written since is lost.

    Every file is checked before anything is replaced. Every worker follows within a second.
    """
    require_json(request)
    data = state_of(request).settings.data
    back = await opened.job_lane.call(lambda: restore_gallery(opened.catalogue, data, name))
    return SnapshotInfo.of(back)


@router.delete(
    "/snapshots/{name}", responses=documented(Unauthorized, NotFound, Conflict, DiskFull)
)
async def delete_snapshot(name: str, request: Request, opened: Ready) -> SnapshotsResponse:
    """Remove a snapshot, also a damaged one, and list the others. The gallery stays as it is."""
    data = state_of(request).settings.data

    def others() -> list[SnapshotManifest]:
        backup.delete(data, name)
        return backup.listed(data)

    return _response(await opened.job_lane.call(others))


def _response(found: list[SnapshotManifest]) -> SnapshotsResponse:
    return SnapshotsResponse(snapshots=[SnapshotInfo.of(manifest) for manifest in found])
