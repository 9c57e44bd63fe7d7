"""`lorgnette search`: photographs in, ranked items out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lorgnette._output import (
    STUDENT,
    Key,
    Photos,
    StudentBundle,
    complain,
    json_line,
    table,
)
from lorgnette.errors import InvalidImage
from lorgnette.exit_codes import BAD_INPUT

if TYPE_CHECKING:
    from lorgnette._options import SearchOptions
    from lorgnette.wire import Rerank

Server = Annotated[str, typer.Option(help="Address of the service.")]
Hits = Annotated[int, typer.Option("-k", "--k", min=1, help="Hits wanted per photograph.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Offset = Annotated[int, typer.Option(min=0, help="So many of the best are left out.")]
MinScore = Annotated[float | None, typer.Option(help="Hits below are left out.")]
FilterText = Annotated[
    str | None, typer.Option("--filter", help="JSON over the metadata; see the examples.")
]
GroupBy = Annotated[str | None, typer.Option(help="Only the best of each value of this field.")]
GroupSize = Annotated[int, typer.Option(min=1, max=100, help="So many of each value.")]
Fields = Annotated[
    str | None, typer.Option(help="Metadata wanted, by comma.", show_default="all of it")
]
RerankChoice = Annotated[
    Literal["alpha-qe", "super-global"] | None, typer.Option(help="A second opinion on the order.")
]


def search(
    photos: Photos,
    *,
    server: Server = "http://127.0.0.1:8080",
    bundle: StudentBundle = STUDENT,
    k: Hits = 10,
    offset: Offset = 0,
    min_score: MinScore = None,
    filter_json: FilterText = None,
    group_by: GroupBy = None,
    group_size: GroupSize = 1,
    fields: Fields = None,
    rerank: RerankChoice = None,
    as_json: AsJson = False,
    key: Key = None,
) -> None:
    """Find what a gallery holds that looks like these photographs.

    They are embedded here; only their vectors are sent. Photographs that
    cannot be read are named and skipped, and the exit code is then 2.

    \b
    Examples:
      lorgnette search photo.jpg
      lorgnette search *.jpg --server https://photos.example -k 5 --json
      lorgnette search photo.jpg --filter '{"field": "price", "lt": 3}'
      lorgnette search photo.jpg --group-by product --rerank super-global
    """
    from lorgnette.bundle import Bundle
    from lorgnette.client import Client
    from lorgnette.encoder import Encoder

    options = _options(
        offset=offset,
        min_score=min_score,
        filter_json=filter_json,
        group_by=group_by,
        group_size=group_size,
        fields=fields,
        rerank=rerank,
    )
    has_failed = False
    with Client(server, encoder=Encoder(Bundle.open(bundle)), key=key) as client:
        for photo in photos:
            try:
                hits = client.search(photo, k, **options)
            except InvalidImage as error:
                complain(error)
                has_failed = True
                continue
            typer.echo(json_line(photo, hits) if as_json else table(photo, hits))
    if has_failed:
        raise typer.Exit(BAD_INPUT)


def _options(
    *,
    offset: int,
    min_score: float | None,
    filter_json: str | None,
    group_by: str | None,
    group_size: int,
    fields: str | None,
    rerank: Rerank | None,
) -> SearchOptions:
    """What was asked for, and nothing else: an older server refuses what it does not know."""
    from lorgnette.filters import read_filter

    options: SearchOptions = {
        "score_threshold": min_score,
        "filter": None if filter_json is None else read_filter(filter_json),
        "group_by": group_by,
        "fields": None if fields is None else [name for name in fields.split(",") if name],
        "rerank": rerank,
    }
    if offset:
        options["offset"] = offset
    if group_size > 1:
        options["group_size"] = group_size
    return options
