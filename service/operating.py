"""What the operator's verbs share: which gallery, opened if it is there, and how to print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from service.gallery.catalogue import Catalogue

Data = Annotated[
    Path,
    typer.Option(help="Directory that holds the gallery's data.", envvar="LORGNETTE_DATA"),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@contextmanager
def opened(data: Path) -> Iterator[Catalogue]:
    """The catalogue of a gallery that is there; nothing is made by looking for it."""
    from service.gallery.catalogue import Catalogue, require_gallery

    require_gallery(data)
    with closing(Catalogue.open(data)) as catalogue:
        yield catalogue


def confirm(question: str, *, yes: bool) -> None:
    """Go on only with a yes, given now or on the command line."""
    if not yes:
        typer.confirm(question, abort=True)


def json_text(fields: Mapping[str, object], *, indent: int | None = None) -> str:
    """JSON for people and programs: letters as they are, what would steer a terminal escaped."""
    text = json.dumps(fields, ensure_ascii=False, indent=indent)
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1]
        for letter in text
    )
