"""The verb export adds to `lorgnette`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from export.quantise_cli import (
    CalibrationOption,
    EvaluateOption,
    GalleryOption,
    SplitsOption,
    show,
)
from lorgnette.errors import InvalidConfiguration

if TYPE_CHECKING:
    from export.package import Packaged
    from export.verify import Report
    from lorgnette.manifest import Variant

VARIANTS: tuple[Variant, ...] = ("fp32", "fp16", "net", "pre")
ALL_VARIANTS: tuple[Variant, ...] = (*VARIANTS, "int8")

RunArgument = Annotated[
    Path, typer.Argument(help="The --out of `lorgnette train` or `lorgnette whiten`.")
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Directory of the bundle; must be absent or empty.")
]
NameOption = Annotated[str | None, typer.Option(help="Name of the bundle [the model's].")]
VersionOption = Annotated[
    str | None, typer.Option(help="Version of the bundle [8 hex digits of its weights].")
]
VariantsOption = Annotated[
    str,
    typer.Option(
        help="Which files, by commas. fp16: the default download; fp32: twice its size; net and "
        "pre: for accelerators and bulk embedding; int8: a quarter, fast on native CPUs, needs "
        "--calibration and --evaluate."
    ),
]
PhotosOption = Annotated[
    Path | None, typer.Option(help="Verify on these photographs [synthetic images].")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the bundle at --out.")]


def export(
    run_dir: RunArgument,
    *,
    out: OutOption,
    name: NameOption = None,
    version: VersionOption = None,
    variants: VariantsOption = ",".join(VARIANTS),
    photos: PhotosOption = None,
    calibration: CalibrationOption = None,
    evaluate: EvaluateOption = None,
    splits: SplitsOption = None,
    gallery: GalleryOption = None,
    force: ForceOption = False,
) -> None:
    """Write a trained model as a bundle: ONNX files, golden vectors, a manifest.

    Every file is compared with the trained network before anything is written. int8 is added to
    the bundle then, as `lorgnette quantise` does it.

    \b
    Examples:
      lorgnette export runs/student --out models/student
      lorgnette export runs/student --out models/student --variants fp16,int8,net,pre \\
        --calibration ~/photos/pool --evaluate ~/photos/mugs --gallery models/teacher
    """
    from export.run import Labels, run

    asked = _parsed(variants)
    add_int8 = _int8(asked, calibration, evaluate, splits=splits, gallery=gallery)
    _show(
        run(
            run_dir,
            out=out,
            labels=Labels(name=_named("--name", name), version=_named("--version", version)),
            variants=tuple(variant for variant in asked if variant != "int8"),
            photographs=photos,
            replace=force,
        )
    )
    add_int8(out)


def _int8(
    asked: tuple[Variant, ...],
    calibration: Path | None,
    evaluate: Path | None,
    *,
    splits: Path | None,
    gallery: Path | None,
) -> Callable[[Path], None]:
    """What adds int8 to the finished bundle, its photographs listed now; nothing if not asked."""
    if "int8" not in asked:
        if any(given is not None for given in (calibration, evaluate, splits, gallery)):
            raise InvalidConfiguration(
                "--calibration, --evaluate, --splits and --gallery are for int8, which --variants "
                "does not name: add it, or leave them out"
            )
        return lambda out: None
    from export.int8_recall import Judge, read_judge
    from export.quantise import add_int8, require_photographs
    from export.samples import calibration_samples

    photographs, judged = require_photographs(calibration, evaluate)
    judge = Judge(judged, splits=splits, gallery=gallery)
    read_judge(judge)
    calibration_samples(photographs)
    return lambda out: show(
        add_int8(out, out=out, calibration=photographs, judge=judge, replace=True)
    )


def _named(option: str, value: str | None) -> str | None:
    from lorgnette.manifest import is_name

    if value is not None and not is_name(value):
        raise InvalidConfiguration(
            f"{option} {value!r}: expected up to 64 small letters, digits, '.', '_' or '-', "
            "the first a letter or a digit"
        )
    return value


def _parsed(text: str) -> tuple[Variant, ...]:
    """The variants of a comma-separated list, in the order of `ALL_VARIANTS`."""
    asked = {part.strip() for part in text.split(",")}
    unknown = sorted(asked - set(ALL_VARIANTS))
    if unknown:
        raise InvalidConfiguration(
            f"--variants: expected some of {','.join(ALL_VARIANTS)}, found {unknown[0]!r}"
        )
    if not asked & {"fp32", "fp16"}:
        raise InvalidConfiguration("--variants: a bundle needs fp16 or fp32, which devices run")
    return tuple(variant for variant in ALL_VARIANTS if variant in asked)


def _show(packaged: Packaged) -> None:
    from rich.console import Console
    from rich.table import Table

    manifest, report = packaged.bundle.manifest, packaged.report
    table = Table()
    for header in ("file", "MB", "cosine", "mean", "centred", "end to end", "ms"):
        table.add_column(header, justify="left" if header == "file" else "right", no_wrap=True)
    figures = _figures(report)
    for variant, entry in manifest.files.items():
        table.add_row(entry.path, f"{entry.bytes / 1e6:.2f}", *figures.get(variant, ()))
    console = Console()
    console.print(table)
    console.print(
        f"The least cosine over {report.images} images to torch on the same resized pixels (also "
        "centred on their mean), and end to end, behind torchvision's resize, from which the "
        f"graph's differs by at most {report.resize_max:.0f} of 255 ({report.resize_mean:.3f} on "
        "average in the worst image). ms: one image, one thread, this machine.",
        style="dim",
    )
    typer.echo(
        f"{packaged.bundle.directory}: {manifest.role} bundle {manifest.name} {manifest.version}, "
        f"space {manifest.space.id}"
    )


def _figures(report: Report) -> dict[str, tuple[str, ...]]:
    """Cells of the table by variant; `pre` has none of its own."""
    return {
        found.variant: (
            f"{found.cosine_min:.6f}",
            f"{found.cosine_mean:.6f}",
            f"{found.centred_min:.6f}",
            f"{found.end_to_end_min:.6f}",
            f"{found.ms:.0f}",
        )
        for found in report.agreements
    }
