"""The verb `lorgnette quantise`: an int8 variant for a bundle that exists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from export.quantise import Added

BundleArgument = Annotated[Path, typer.Argument(help="A bundle with fp16 or fp32.")]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        help="int8: a folder of photographs like those that will be asked; up to 96 are used.",
    ),
]
EvaluateOption = Annotated[
    Path | None,
    typer.Option(
        "--evaluate",
        help="int8: other photographs, on which its loss is measured: mAP with one folder a "
        "class, else recall@10 of what float32 finds.",
    ),
]
SplitsOption = Annotated[
    Path | None,
    typer.Option("--splits", help="TSV path<TAB>role (gallery, query) of --evaluate."),
]
GalleryOption = Annotated[
    Path | None,
    typer.Option("--gallery", help="The teacher's bundle, to search in its rows [the student's]."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Write the bundle here instead of over itself.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the bundle at --out.")]


def quantise(
    bundle: BundleArgument,
    *,
    calibration: CalibrationOption = None,
    evaluate: EvaluateOption = None,
    splits: SplitsOption = None,
    gallery: GalleryOption = None,
    out: OutOption = None,
    force: ForceOption = False,
) -> None:
    """Add int8 to a bundle: about a quarter of float32's bytes, twice its speed on native CPUs.

    Ranges are measured on the photographs of --calibration; the parts of the network that suffer
    most stay in float32; what int8 loses on --evaluate is written into the manifest, and devices
    choose int8 by themselves only when that is at most one point. Not faster in browsers.

    \b
    Examples:
      lorgnette quantise models/student --calibration ~/photos/pool --evaluate ~/photos/mugs
      lorgnette quantise models/student --calibration ~/photos/pool --evaluate ~/photos/mugs \\
        --splits splits.tsv --gallery models/teacher --out models/student-int8
    """
    from export.int8_recall import Judge
    from export.quantise import add_int8, require_photographs

    photographs, judged = require_photographs(calibration, evaluate)
    judge = Judge(judged, splits=splits, gallery=gallery)
    place = out or bundle
    replace = force or place.resolve() == bundle.resolve()
    show(add_int8(bundle, out=place, calibration=photographs, judge=judge, replace=replace))


def show(added: Added) -> None:
    """Print what was measured, and what it means for devices."""
    from lorgnette.processor import MAX_RECALL_DELTA

    found, quantised = added.recall, added.quantised
    for part, cost in quantised.sensitivity.items():
        mark = "float32" if part in quantised.kept_float else "int8"
        typer.echo(f"  {part:32s} {cost:.6f}  {mark}")
    share = len(quantised.int8) / len(quantised.float32)
    typer.echo(
        f"{added.bundle.file('int8')}: {len(quantised.int8) / 1e6:.2f} MB, {share:.1%} of float32"
    )
    typer.echo(
        f"{found.figure} {100 * found.float32:.2f} -> {100 * found.int8:.2f} over {found.queries} "
        f"queries; cosine to float32 at least {found.cosine_min:.4f}, mean {found.cosine_mean:.4f}"
    )
    if found.delta > MAX_RECALL_DELTA:
        typer.echo(
            f"warning: a loss of {100 * found.delta:.1f} points is more than "
            f"{100 * MAX_RECALL_DELTA:.0f}: devices keep to fp16 unless told otherwise; calibrate "
            "on photographs nearer to these",
            err=True,
        )
