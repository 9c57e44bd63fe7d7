"""The verb `lorgnette align`, and what indexing does of the same by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import defaults
from service.operating import Data, opened

if TYPE_CHECKING:
    from lorgnette.alignment import Alignment

Aligned = Annotated[
    list[Path] | None,
    typer.Option(
        "--student",
        help="Query bundle to align with the gallery; may be repeated.",
        metavar="<path>",
        show_default=str(defaults.STUDENT),
    ),
]
Threads = Annotated[int, typer.Option(min=1, help="Photographs embedded at once.")]


def align(*, student: Aligned = None, data: Data = defaults.DATA, threads: Threads = 1) -> None:
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
    from service.console import reporting
    from service.gallery import aligning

    with opened(data) as catalogue:
        for directory in student or [defaults.STUDENT]:
            with reporting() as report:
                options = aligning.Options(threads=threads, report=report)
                encoder = aligning.open_student(directory)
                learned = aligning.align(catalogue, data, encoder, options=options)
            tell(encoder.identity, learned)


def tell(student: str, learned: Alignment) -> None:
    """The one line of result, on standard output."""
    typer.echo(
        f"{student} is aligned by {learned.photographs} photographs: mean cosine with the teacher, "
        f"on photographs left out, {learned.before:.3f} before, {learned.after:.3f} after"
    )


def align_after_indexing(data: Path, students: Sequence[Path] | None, *, threads: int) -> None:
    """Align the students that fit the gallery, and say so; None: the usual one, if it is there."""
    from service.console import reporting
    from service.gallery import aligning

    if students is None:
        students = [defaults.STUDENT] if defaults.STUDENT.is_dir() else []
    with opened(data) as catalogue, reporting() as report:
        options = aligning.Options(threads=threads, report=report)
        aligned = aligning.align_fitting(catalogue, data, students, options=options)
    for identity, learned in aligned.items():
        tell(identity, learned)
