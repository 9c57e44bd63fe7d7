"""`lorgnette demo`. Imports nothing heavy: the demo itself is loaded when it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service import defaults


def demo(
    *,
    photos: Annotated[
        Path | None,
        typer.Option(help="Your own folder of photos, instead of the sample gallery."),
    ] = None,
    data: Annotated[
        Path, typer.Option(help="Where galleries, queries and contact sheets go.")
    ] = Path("demo-data"),
    teacher: Annotated[
        Path, typer.Option(help="Gallery bundle that embeds the photos.")
    ] = defaults.TEACHER,
    student: Annotated[
        Path, typer.Option(help="Query bundle that embeds the queries.")
    ] = defaults.STUDENT,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 0,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit at once: 0 only if every query found its photo first."),
    ] = False,
) -> None:
    """Index a gallery, start the service, ask it three queries, show what they found.

    Without --photos the gallery is real photographs from scikit-image, each in
    several generated views. The queries are other generated views; they are
    embedded here, and only their vectors are sent.

    \b
    Examples:
      lorgnette demo
      lorgnette demo --photos ~/Pictures
      lorgnette demo --check
    """
    from service.demo.run import Demo, check_demo, show_demo

    run = check_demo if check else show_demo
    own = None if photos is None else photos.expanduser()
    asked = Demo(photos=own, data=data.expanduser(), teacher=teacher, student=student, port=port)
    raise typer.Exit(run(asked))
