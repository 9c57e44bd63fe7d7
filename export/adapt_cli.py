"""The verb `lorgnette adapt`: a student for one operator's photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GalleryOption = Annotated[
    Path,
    typer.Option("--gallery", help="A folder of the gallery's photographs; labels are not used."),
]
StudentOption = Annotated[Path, typer.Option("--student", help="The query bundle to adapt.")]
TeacherOption = Annotated[
    Path, typer.Option("--teacher", help="The gallery bundle of the same space.")
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Directory of the new bundle; must be absent or empty.")
]
ShareOption = Annotated[
    float,
    typer.Option(help="Of the adaptation, above 0 and at most 1; the rest stays as it was."),
]
PhotographsOption = Annotated[
    int, typer.Option(help="How many are embedded at most, drawn at random.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the bundle at --out.")]


def adapt(
    *,
    gallery: GalleryOption,
    student: StudentOption,
    teacher: TeacherOption,
    out: OutOption,
    share: ShareOption = 0.4,
    photographs: PhotographsOption = 2048,
    force: ForceOption = False,
) -> None:
    """Adapt a student to your own photographs: no labels, no training, no new index.

    Up to 2048 photographs, drawn at random, are embedded with both models, and how the student
    differs from its teacher on them is written into a new student's graph, by --share. Searches
    that no server aligns (galleries without photographs in place, Milvus asked directly, offline
    boxes) then find more; where one does, leave the student as it is. About a minute of one core.

    Shipped pair, mAP on cartons it was adapted to, on 33 kinds of other things, in per cent:
    as it is 17.7 and 81.9; share 0.2: 24.9, 81.8; 0.4: 29.0, 81.1; 0.6: 30.7, 79.6; 1: 31.0, 68.4.
    The teacher's own queries: 26.3 and 86.6.

    \b
    Examples:
      lorgnette adapt --gallery ~/photos --student models/student \\
        --teacher models/teacher --out models/student-mine
      lorgnette adapt --gallery ~/photos --student models/student \\
        --teacher models/teacher --out models/student-mine --share 0.6 --force
    """
    from export.adapt import Request, adapt

    done = adapt(
        Request(
            gallery=gallery,
            student=student,
            teacher=teacher,
            out=out,
            share=share,
            photographs=photographs,
            replace=force,
        )
    )
    manifest, learned = done.bundle.manifest, done.alignment
    typer.echo(
        f"{done.bundle.directory}: {manifest.identity}, space {manifest.space.id}, adapted by "
        f"{learned.photographs} photographs, share {share:g}; the map's mean cosine with the "
        f"teacher, on photographs left out, {learned.before:.3f} before, {learned.after:.3f} after"
    )
    if "int8" in manifest.files and done.bundle.default_variant() != "int8":
        typer.echo(
            "int8 was adapted too, but what it loses now is not measured, so devices take "
            f"{done.bundle.default_variant()} unless told otherwise; to measure it: lorgnette "
            f"quantise {done.bundle.directory} --calibration DIR --evaluate DIR",
            err=True,
        )
