"""A gallery's items, one by one, in its data directory; a running service follows at once."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import defaults
from service.operating import Data, Yes, confirm, json_text, opened

if TYPE_CHECKING:
    from pydantic import JsonValue

_PAGE = 1000

ItemId = Annotated[str, typer.Argument(metavar="ID", help="The item's id.", show_default=False)]


def list_items(
    *,
    data: Data = defaults.DATA,
    limit: Annotated[
        int | None, typer.Option(min=1, help="So many at most.", show_default="all")
    ] = None,
) -> None:
    """List the items, a JSON object a line, in the order they were first written.

    \b
    Examples:
      lorgnette items list --limit 10
      lorgnette items list | jq -r .id
    """
    from service.gallery import writes

    after, left = 0, limit
    with opened(data) as catalogue:
        while True:
            page = writes.page(catalogue, after=after, limit=min(_PAGE, left or _PAGE))
            for item in page.items:
                typer.echo(json_text(item.model_dump()))
            left = None if left is None else left - len(page.items)
            if page.after is None or left == 0:
                return
            after = page.after


def get(item_id: ItemId, *, data: Data = defaults.DATA) -> None:
    """Print one item as JSON: its metadata, its photograph, the spaces it has a vector in.

    \b
    Examples:
      lorgnette items get holiday/beach.jpg
    """
    from service.gallery import writes

    with opened(data) as catalogue:
        typer.echo(json_text(writes.one(catalogue, item_id).model_dump(), indent=2))


def put(
    item_id: ItemId,
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photograph to embed.")],
    *,
    metadata: Annotated[str, typer.Option(help="A JSON object, as text.")] = "{}",
    data: Data = defaults.DATA,
    teacher: Annotated[
        Path,
        typer.Option(help="Gallery bundle that embeds it.", envvar="LORGNETTE_TEACHER"),
    ] = defaults.TEACHER,
) -> None:
    """Write one item, replacing what it was. The photograph is copied into the gallery.

    It is embedded by the teacher of every live space, as over HTTP; a folder
    of photographs is quicker with `lorgnette index`.

    \b
    Examples:
      lorgnette items put shelf-7 photo.jpg
      lorgnette items put shelf-7 photo.jpg --metadata '{"aisle": 7}'
    """
    from lorgnette.image import MAX_PIXELS
    from service.api.item_bodies import checked_id
    from service.gallery.catalogue import Catalogue
    from service.item_writes import Wanted, put_items
    from service.teachers import Teachers

    wanted = Wanted(
        id=checked_id(item_id),
        metadata=_parsed(metadata),
        image=_read(photo),
        space="",
        vector=None,
    )
    with closing(Catalogue.open(data)) as catalogue:
        teachers = Teachers(teacher, max_pixels=MAX_PIXELS)
        written = put_items(catalogue, teachers, data, [wanted], delete=(), token=None)
    typer.echo(f"written as number {written.seq}")


def delete(
    item_ids: Annotated[
        list[str], typer.Argument(metavar="ID", help="One or more ids.", show_default=False)
    ],
    *,
    data: Data = defaults.DATA,
    yes: Yes = False,
) -> None:
    """Delete items and their vectors, all or none. Photographs of indexed folders stay there.

    Indexing such a folder again brings them back: move the photograph first.

    \b
    Examples:
      lorgnette items delete holiday/beach.jpg
      lorgnette items delete shelf-7 shelf-8 --yes
    """
    from service.gallery import writes

    with opened(data) as catalogue:
        for item_id in item_ids:
            writes.one(catalogue, item_id)
        confirm(f"Delete {len(item_ids)} of the items in {data} for good?", yes=yes)
        written = writes.write(catalogue, [], delete=item_ids)
    typer.echo(f"{written.deleted} deleted as number {written.seq}")


def _read(photo: Path) -> bytes:
    from lorgnette.errors import InvalidImage

    try:
        return photo.read_bytes()
    except OSError as error:
        raise InvalidImage(f"{photo} cannot be read ({error.strerror}): check the path") from error


def _parsed(metadata: str) -> dict[str, JsonValue]:
    from lorgnette.errors import InvalidRequest
    from lorgnette.text import quoted
    from service.api.item_bodies import checked_metadata

    try:
        fields = json.loads(metadata)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"--metadata: expected a JSON object ({error})") from error
    if not isinstance(fields, dict):
        raise InvalidRequest(f"--metadata: expected a JSON object, found {quoted(metadata)}")
    return checked_metadata(fields)
