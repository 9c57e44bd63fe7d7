"""`GET /items/{id}/thumbnail`: what a hit looks like, for who may search."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from lorgnette.errors import NotFound, Unauthorized
from service.api.doors import Ready, search_door
from service.api.entity_tags import is_known
from service.api.problems import NOT_MODIFIED, OK, documented
from service.state import state_of
from service.thumbnails import MEDIA_TYPE, Found

router = APIRouter(tags=["search"], dependencies=[Depends(search_door)])

# Another photograph may be written under the same id: asked again each time, mostly a 304.
_REVALIDATE = "private, no-cache"


@router.get(
    "/items/{item_id:path}/thumbnail",
    response_class=Response,
    responses={
        OK: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        NOT_MODIFIED: {"description": "the `If-None-Match` entity tag still holds"},
        **documented(Unauthorized, NotFound),
    },
)
async def thumbnail(item_id: str, request: Request, opened: Ready) -> Response:
    """The item's photograph, at most 320 pixels wide and high: upright, sRGB, without metadata.

    Items that were given as a vector have none; nor has one whose photograph is gone or changed
    since it was indexed. Each request counts for the key's rate.
    """
    data = state_of(request).settings.data
    with opened.thumbnail_lane.admit():
        found = await opened.thumbnail_lane.run(lambda: Found.of(opened.catalogue, data, item_id))
        headers = {"etag": f'"{found.tag}"', "cache-control": _REVALIDATE}
        if is_known(request, etag=headers["etag"]):
            return Response(status_code=NOT_MODIFIED, headers=headers)
        made = await opened.thumbnail_lane.run(lambda: opened.thumbnails.of(found))
    return Response(made, headers=headers, media_type=MEDIA_TYPE)
