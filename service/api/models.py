"""`GET /models`: the students this service hands out, file by file, and `GET /spaces`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from lorgnette.bundle import MANIFEST_NAME
from lorgnette.errors import NotFound, Unauthorized, Unavailable
from lorgnette.models.release import RELEASE_NAME
from lorgnette.models.signing import SIGNATURE_SUFFIX
from lorgnette.wire import ModelsResponse, SpaceInfo, SpacesResponse
from service.api.doors import Ready, models_door, spaces_door
from service.api.entity_tags import is_known
from service.api.problems import (
    NOT_MODIFIED,
    OK,
    PARTIAL_CONTENT,
    RangeNotSatisfiable,
    documented,
)
from service.gallery.alignments import listed
from service.gallery.snapshot import Snapshot
from service.state import Opened
from service.students import ServedFile

router = APIRouter(tags=["models"], dependencies=[Depends(models_door)])
spaces_router = APIRouter(tags=["models"], dependencies=[Depends(spaces_door)])

_REVALIDATE = "private, no-cache"
_FOREVER = "private, max-age=31536000, immutable"
_SHA256 = r"^[0-9a-f]{64}$"
_CHUNK_BYTES = 1024 * 1024
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@spaces_router.get("/spaces", responses=documented(Unauthorized))
async def spaces(opened: Ready) -> SpacesResponse:
    """The live spaces: how many items answer in each, and the students whose vectors fit."""
    return await opened.search_lane.call(
        lambda: SpacesResponse(
            spaces=[_info(opened, snapshot) for snapshot in opened.gallery.snapshots()]
        )
    )


def _info(opened: Opened, snapshot: Snapshot) -> SpaceInfo:
    """Of one live space. Blocking."""
    fitting = opened.students.fitting((snapshot.space.id,))
    return SpaceInfo(
        space=snapshot.space,
        generation=snapshot.generation,
        count=snapshot.count,
        students=[student.info() for student in fitting],
        alignments=listed(opened.catalogue, snapshot.space.id),
    )


@router.get("/models", responses=documented(Unauthorized))
async def models(opened: Ready) -> ModelsResponse:
    """Every student, also one whose space is not live yet: phones may fetch it beforehand."""
    return ModelsResponse(models=[student.info() for student in opened.students.all])


@router.head("/models/{name}/" + MANIFEST_NAME, include_in_schema=False)
@router.get(
    "/models/{name}/" + MANIFEST_NAME,
    responses={
        OK: {"content": {"application/json": {"schema": {"type": "object"}}}},
        NOT_MODIFIED: {"description": "the `If-None-Match` entity tag still holds"},
        **documented(Unauthorized, NotFound),
    },
)
async def manifest(name: str, request: Request, opened: Ready) -> Response:
    """A student's manifest: its space, its files and their sha256."""
    student = opened.students.named(name)
    headers = {"etag": f'"{student.manifest_sha256}"', "cache-control": _REVALIDATE}
    if is_known(request, etag=headers["etag"]):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(student.manifest, headers=headers, media_type="application/json")


_Documented = dict[int | str, dict[str, Any]]

_BESIDE: _Documented = {
    OK: {"content": {"application/octet-stream": _BINARY}},
    NOT_MODIFIED: {"description": "the `If-None-Match` entity tag still holds"},
    **documented(Unauthorized, NotFound),
}


@router.get("/models/{name}/manifest.sig", response_class=Response, responses=_BESIDE)
async def manifest_signature(name: str, request: Request, opened: Ready) -> Response:
    """The Ed25519 signature of the manifest's bytes, base64; not found when it is unsigned."""
    return await _send_beside(opened, name, request, filename=MANIFEST_NAME + SIGNATURE_SUFFIX)


@router.get("/models/{name}/" + RELEASE_NAME, response_class=Response, responses=_BESIDE)
async def release(name: str, request: Request, opened: Ready) -> Response:
    """Which SDKs, and what share of the devices, may have the student; not found means all."""
    return await _send_beside(opened, name, request, filename=RELEASE_NAME)


@router.get("/models/{name}/release.sig", response_class=Response, responses=_BESIDE)
async def release_signature(name: str, request: Request, opened: Ready) -> Response:
    """The Ed25519 signature of the release's bytes, base64; not found when it is unsigned."""
    return await _send_beside(opened, name, request, filename=RELEASE_NAME + SIGNATURE_SUFFIX)


async def _send_beside(opened: Opened, name: str, request: Request, *, filename: str) -> Response:
    student = opened.students.named(name)
    content = await run_in_threadpool(student.beside, filename)
    headers = {
        "etag": f'"{hashlib.sha256(content).hexdigest()}"',
        "cache-control": _REVALIDATE,
    }
    if is_known(request, etag=headers["etag"]):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    is_json = filename.endswith(".json")
    media_type = "application/json" if is_json else "application/octet-stream"
    return Response(content, headers=headers, media_type=media_type)


_FILE: _Documented = {
    OK: {"content": {"application/octet-stream": _BINARY}},
    PARTIAL_CONTENT: {
        "description": "the range asked for",
        "content": {"application/octet-stream": _BINARY},
    },
    NOT_MODIFIED: {"description": "the `If-None-Match` entity tag still holds"},
    **documented(Unauthorized, NotFound, RangeNotSatisfiable),
}


@router.head("/models/{name}/files/{sha256}", include_in_schema=False)
@router.get("/models/{name}/files/{sha256}", response_class=Response, responses=_FILE)
async def file_by_content(
    name: str, sha256: Annotated[str, Path(pattern=_SHA256)], request: Request, opened: Ready
) -> Response:
    """A file of the student by its content: what is under this address never changes."""
    file = opened.students.named(name).by_sha256(sha256)
    return _answer(request, file, cache_control=_FOREVER)


@router.head("/models/{name}/{path:path}", include_in_schema=False)
@router.get(
    "/models/{name}/{path:path}",
    response_class=Response,
    responses=_FILE,
)
async def model_file(
    name: str, path: str, request: Request, opened: Ready, sha256: str | None = None
) -> Response:
    """A file that the student's manifest lists; the entity tag is its sha256.

    Asked for with `?sha256=`, the answer may be cached for ever; the file of another digest is
    then not found, so that a manifest and the files fetched after it always belong together.
    """
    student = opened.students.named(name)
    file = student.files.get(path)
    if file is None:
        raise NotFound(f"the manifest of {name!r} lists no file of this path: read it again")
    if sha256 is not None and sha256 != file.sha256:
        raise NotFound(f"{path} of {name!r} now has another sha256: read the manifest again")
    return _answer(request, file, cache_control=_FOREVER if sha256 else _REVALIDATE)


def _answer(request: Request, file: ServedFile, *, cache_control: str) -> Response:
    if not file.is_unchanged():
        raise Unavailable(f"{file.path.name} changed since the server started: restart it")
    headers = {
        "etag": f'"{file.sha256}"',
        "cache-control": cache_control,
        "accept-ranges": "bytes",
    }
    if is_known(request, etag=headers["etag"]):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return _send(request, file, headers=headers)


def _send(request: Request, file: ServedFile, *, headers: dict[str, str]) -> Response:
    start, end = _range(request, file, etag=headers["etag"])
    is_whole = (start, end) == (0, file.bytes)
    headers = {**headers, "content-length": str(end - start)}
    if not is_whole:
        headers["content-range"] = f"bytes {start}-{end - 1}/{file.bytes}"
    status = OK if is_whole else PARTIAL_CONTENT
    media_type = "image/png" if file.path.suffix == ".png" else "application/octet-stream"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(
        _chunks(file.path, start=start, end=end),
        status_code=status,
        headers=headers,
        media_type=media_type,
    )


def _range(request: Request, file: ServedFile, *, etag: str) -> tuple[int, int]:
    """The bytes `[start, end)` to send: one range, or everything.

    Several ranges, another unit, a malformed header and an `If-Range` that no longer holds all
    give the whole file, as RFC 9110 14.2 allows. Raises `RangeNotSatisfiable`.
    """
    whole = (0, file.bytes)
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", request.headers.get("range", ""))
    if match is None or request.headers.get("if-range", etag) != etag:
        return whole
    first, last = match.groups()
    if not first and not last:
        return whole
    if not first:
        start, end = max(0, file.bytes - int(last)), file.bytes
    else:
        start, end = int(first), min(int(last) + 1 if last else file.bytes, file.bytes)
        if last and int(last) < start:
            return whole
    if start >= file.bytes:
        raise RangeNotSatisfiable(
            f"the file has {file.bytes} bytes, the range begins at {start}: fetch it again",
            size=file.bytes,
        )
    return start, end


def _chunks(path: FilePath, *, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as opened:
        opened.seek(start)
        left = end - start
        while left and (chunk := opened.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
