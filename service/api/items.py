"""`/admin/items`: single items and batches, acknowledged when SQLite has committed them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from lorgnette._faults import first_fault
from lorgnette.errors import (
    Conflict,
    DiskFull,
    InvalidImage,
    InvalidRequest,
    InvalidVector,
    NotFound,
    SpaceMismatch,
    Unauthorized,
)
from lorgnette.text import quoted
from service.api.body import documented_body, parse_json, read_body, require_json
from service.api.doors import Ready, admin_door
from service.api.item_bodies import BatchBody, ItemBody, ItemId, checked_id, checked_metadata
from service.api.problems import RequestTimeout, UnsupportedMediaType, documented
from service.gallery import writes
from service.gallery.answers import KEY_PATTERN, Token
from service.gallery.writes import StoredItem, Written
from service.item_writes import Wanted, put_items
from service.settings import Settings
from service.state import Opened, state_of

router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(admin_door)])

ITEMS_PREFIX = "/admin/items/"
MAX_LISTED = 1000

_METADATA = TypeAdapter(dict[str, JsonValue])
_REFUSALS = (
    Unauthorized, SpaceMismatch, Conflict, InvalidImage, InvalidVector, UnsupportedMediaType,
    RequestTimeout, DiskFull,
)  # fmt: skip


class ItemsResponse(BaseModel):
    """`GET /admin/items`. next: the `cursor` of what follows; null at the end."""

    model_config = ConfigDict(frozen=True)

    items: list[StoredItem]
    next: str | None


class ItemsQuery(BaseModel):
    """Query parameters of `GET /admin/items`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MAX_LISTED)] = 100
    cursor: Annotated[str | None, Field(description="`next` of the answer before")] = None


@router.get("/items", responses=documented(Unauthorized))
async def items(opened: Ready, query: Annotated[ItemsQuery, Query()]) -> ItemsResponse:
    """The live items in the order they were first written, a page at a time."""
    after = _position(query.cursor)
    found = await opened.write_lane.call(
        lambda: writes.page(opened.catalogue, after=after, limit=query.limit)
    )
    return ItemsResponse(
        items=list(found.items), next=None if found.after is None else _cursor(found.after)
    )


@router.get("/items/{item_id:path}", responses=documented(Unauthorized, NotFound))
async def item(item_id: ItemId, opened: Ready) -> StoredItem:
    """One item."""
    return await opened.write_lane.call(lambda: writes.one(opened.catalogue, checked_id(item_id)))


@router.put(
    "/items/{item_id:path}",
    responses=documented(NotFound, *_REFUSALS),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/ItemBody"}},
                "image/*": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def put_item(
    item_id: ItemId,
    request: Request,
    opened: Ready,
    metadata: Annotated[
        str | None, Query(description="beside an image body: a JSON object, as text")
    ] = None,
) -> Written:
    """Write an item, replacing what it was: an image, or JSON with an image or a vector.

    An image is embedded here by the teacher of every live space, and kept for the next teacher.
    The answer comes when the write is on the disk; every worker finds it within a second.
    """
    checked_id(item_id)
    settings = state_of(request).settings
    with opened.write_lane.admit():
        body = await read_body(request)
        wanted = _wanted(request, item_id, body, metadata=metadata)
        return await opened.write_lane.run(lambda: _put(opened, settings, [wanted]))


@router.delete("/items/{item_id:path}", responses=documented(Unauthorized, NotFound, DiskFull))
async def delete_item(item_id: ItemId, opened: Ready) -> Written:
    """Delete an item and its vectors of every space. A deleted one is not found again."""
    checked_id(item_id)
    return await opened.write_lane.call(lambda: _delete(opened, item_id))


@router.post(
    "/items:batch",
    response_model=Written,
    openapi_extra=documented_body(BatchBody),
    responses=documented(*_REFUSALS),
)
async def batch(
    request: Request,
    opened: Ready,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="the same key and body are carried out once",
            json_schema_extra={"pattern": KEY_PATTERN},
        ),
    ] = None,
) -> Written:
    """Write and delete several items, all or nothing.

    With an `Idempotency-Key` a repeated request gets the first one's answer for a day.
    """
    require_json(request)
    settings = state_of(request).settings
    with opened.write_lane.admit():
        body = await read_body(request)
        token = Token.of("items:batch", idempotency_key, body)
        return await opened.write_lane.run(lambda: _batch(opened, settings, body, token))


def _wanted(request: Request, item_id: str, body: bytes, *, metadata: str | None) -> Wanted:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        if metadata is not None:
            raise InvalidRequest("metadata: beside a JSON body it belongs into the body")
        return _wanted_of(item_id, parse_json(ItemBody, body))
    if kind.startswith("image/") or kind == "application/octet-stream":
        stated = _parsed_metadata(metadata)
        return Wanted(id=item_id, metadata=stated, image=body, space="", vector=None)
    raise UnsupportedMediaType(
        f"expected Content-Type image/… or application/json, found {kind or 'none'!r}: send the "
        "encoded image as the body, or JSON with a vector"
    )


def _parsed_metadata(text: str | None) -> dict[str, JsonValue]:
    try:
        return checked_metadata(_METADATA.validate_json(text or "{}"))
    except ValidationError as error:
        raise InvalidRequest(f"metadata: {first_fault(error).why}: send a JSON object") from None


def _wanted_of(item_id: str, body: ItemBody) -> Wanted:
    return Wanted(
        id=checked_id(item_id),
        metadata=checked_metadata(body.metadata),
        image=body.image_bytes(),
        space=body.space or "",
        vector=body if body.vector is not None else None,
    )


def _put(
    opened: Opened,
    settings: Settings,
    wanted: Sequence[Wanted],
    *,
    delete: Sequence[str] = (),
    token: Token | None = None,
) -> Written:
    return put_items(
        opened.catalogue, opened.teachers, settings.data, wanted, delete=delete, token=token
    )


def _batch(opened: Opened, settings: Settings, body: bytes, token: Token | None) -> Written:
    known = writes.answered(opened.catalogue, token)
    if known is not None:
        return known
    asked = parse_json(BatchBody, body)
    size = len(asked.upsert) + len(asked.delete)
    if size > settings.max_batch:
        raise InvalidRequest(
            f"expected at most {settings.max_batch} items a batch, found {size}: send several"
        )
    wanted = [_wanted_of(entry.id, entry) for entry in asked.upsert]
    delete = [checked_id(item_id) for item_id in asked.delete]
    return _put(opened, settings, wanted, delete=delete, token=token)


def _delete(opened: Opened, item_id: str) -> Written:
    written = writes.write(opened.catalogue, [], delete=[item_id])
    if not written.deleted:
        raise NotFound(f"there is no item {quoted(item_id)}: nothing was deleted")
    return written


def _cursor(after: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"after": after}).encode()).decode()


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        after = json.loads(base64.urlsafe_b64decode(cursor.encode()))["after"]
        if type(after) is not int or not 0 <= after < 2**63:
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InvalidRequest(
            "cursor: expected `next` of an earlier answer: leave it out to begin anew"
        ) from None
    return int(after)
