"""What the verbs share: their common options, and what they write."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorgnette.errors import InvalidConfiguration, LorgnetteError
from lorgnette.text import visible

if TYPE_CHECKING:
    from lorgnette.pull import OnProgress
    from lorgnette.vectors import Vectors
    from lorgnette.wire import Hit


Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO", help="One or more photographs.")]
StudentBundle = Annotated[
    Path, typer.Option(help="The bundle that embeds here; `lorgnette pull` fetches one.")
]
Key = Annotated[
    str | None,
    typer.Option(envvar="LORGNETTE_KEY", help="The server's key.", show_default=False),
]

STUDENT = Path("models/student")


class VectorFormat(StrEnum):
    """How `encode` writes vectors."""

    JSON = "json"
    BASE64 = "base64"
    NPY = "npy"


def table(photo: Path, hits: list[Hit]) -> str:
    """The photograph's name, then rank, score and id of each hit."""
    lines = [f"{'rank':>6}  {'score':>7}  id"] if hits else ["  nothing found"]
    lines += [f"{n:>6}  {hit.score:>7.4f}  {visible(hit.id)}" for n, hit in enumerate(hits, 1)]
    return "\n".join([visible(str(photo)), *lines])


def json_line(photo: Path, hits: list[Hit]) -> str:
    """The photograph's name and its hits as one JSON object."""
    return json.dumps({"photo": str(photo), "hits": [hit.model_dump() for hit in hits]})


def vectors(photos: list[Path], rows: Vectors, *, space: str, style: VectorFormat) -> bytes:
    """Rows `[N, D]`, one a photograph, as the content of a file."""
    import numpy as np

    from lorgnette.vectors import to_base64

    if style is VectorFormat.NPY:
        buffer = io.BytesIO()
        np.save(buffer, rows)
        return buffer.getvalue()
    if style is VectorFormat.BASE64:
        lines = [to_base64(row[None], dtype="f16") for row in rows]
    else:
        lines = [
            json.dumps({"photo": str(photo), "space": space, "vector": row.tolist()})
            for photo, row in zip(photos, rows, strict=True)
        ]
    return "".join(f"{line}\n" for line in lines).encode()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it holds all of the content or what it held before.

    Raises `InvalidConfiguration` when the place cannot be written.
    """
    from lorgnette.durable import replace_file

    try:
        replace_file(path, content)
    except OSError as error:
        raise InvalidConfiguration(f"cannot write {path}: {error.strerror}") from error


def progress_bar(stack: ExitStack) -> OnProgress:
    """A bar on stderr that appears with the first byte, and not at all when none is needed."""
    so_far = 0
    advance: Callable[[int], None] | None = None

    def show(have: int, total: int) -> None:
        nonlocal so_far, advance
        if advance is None:
            bar = typer.progressbar(length=total, label="pulling", file=sys.stderr)
            advance = stack.enter_context(bar).update
        advance(have - so_far)
        so_far = have

    return show


def complain(error: LorgnetteError) -> None:
    """Say what went wrong, on one line of stderr."""
    typer.echo(f"lorgnette: {visible(' '.join(str(error).split()))}", err=True)
