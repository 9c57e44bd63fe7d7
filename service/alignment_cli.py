"""The verb `lorgnette align`, and what indexing does of the same by itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import defaults

if TYPE_CHECKING:
    from lorgnette.alignment import Alignment

Data = Annotated[
    Path,
    typer.Option(help="Directory that holds the gallery's data.", envvar="LORGNETTE_DATA"),
]
Students = Annotated[
    list[Path] | None,
    typer.Option(
        "--student",
        help="Query bundle to align with the gallery; may be repeated.",
        metavar="<path>",
        show_default=str(defaults.STUDENT),
    ),
]
Threads = Annotated[int, typer.Option(min=1, help="Photographs embedded at once.")]


def align(*, student: Students = None, data: Data = defaults.DATA, threads: Threads = 1) -> None:
    """Learn how a student's queries are brought to this gallery; needs no labels.

    Some of the gallery's photographs are embedded with the student and compared
    with what the teacher made of them. A running service maps that student's
    queries from then on. `lorgnette index` and a reindex do this by themselves;
    do it for a new student, or when the gallery has become another one.

    \b
    Examples:
      lorgnette align
      lorgnette align --student models/phone --student models/web --data /srv/gallery
    """
    from lorgnette.errors import InvalidGallery
    from service.console import reporting
    from service.gallery import aligning
    from service.gallery.catalogue import CATALOGUE_NAME, Catalogue

    if not (data / CATALOGUE_NAME).is_file():
        raise InvalidGallery(
            f"there is no gallery in {data}: make one with `lorgnette index FOLDER`, or give --data"
        )
    with closing(Catalogue.open(data)) as catalogue:
        for directory in student or [defaults.STUDENT]:
            with reporting() as report:
                options = aligning.Options(threads=threads, report=report)
                opened = aligning.open_student(directory)
                learned = aligning.align(catalogue, data, opened, options=options)
            tell(opened.bundle.manifest.identity, learned)


def tell(student: str, learned: Alignment) -> None:
    """The one line of result, on standard output."""
    typer.echo(
        f"{student} is aligned by {learned.photographs} photographs: mean cosine with the teacher, "
        f"on photographs left out, {learned.before:.3f} before, {learned.after:.3f} after"
    )


def align_after_indexing(data: Path, students: Sequence[Path], *, threads: int) -> None:
    """Align the students that fit the gallery, and say so."""
    from service.console import reporting
    from service.gallery import aligning
    from service.gallery.catalogue import Catalogue

    with closing(Catalogue.open(data)) as catalogue, reporting() as report:
        options = aligning.Options(threads=threads, report=report)
        aligned = aligning.align_fitting(catalogue, data, students, options=options)
    for identity, learned in aligned.items():
        tell(identity, learned)
