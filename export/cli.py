"""The verb export adds to `lorgnette`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorgnette.errors import InvalidConfiguration

if TYPE_CHECKING:
    from export.package import Packaged
    from lorgnette.manifest import Variant

VARIANTS: tuple[Variant, ...] = ("fp32", "fp16", "net", "pre")


def export(
    run_dir: Annotated[
        Path, typer.Argument(help="The --out of `lorgnette train` or `lorgnette whiten`.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="Directory of the bundle; must not exist.")],
    name: Annotated[str | None, typer.Option(help="Name of the bundle [the model's].")] = None,
    version: Annotated[
        str | None, typer.Option(help="Version of the bundle [8 hex digits of its weights].")
    ] = None,
    variants: Annotated[
        str,
        typer.Option(
            help="Which files, by commas. fp16: the default download; fp32: twice its size; "
            "net and pre: for accelerators and bulk embedding."
        ),
    ] = ",".join(VARIANTS),
    photos: Annotated[
        Path | None, typer.Option(help="Verify on these photographs [synthetic images].")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the bundle at --out.")] = False,
) -> None:
    """Write a trained model as a bundle: ONNX files, golden vectors, a manifest.

    Every file is compared with the trained network before anything is written.

    Example: lorgnette export runs/student --out models/student
    """
    from lorgnette.manifest import is_name

    chosen = _parsed(variants)
    for option, value in (("--name", name), ("--version", version)):
        if value is not None and not is_name(value):
            raise InvalidConfiguration(
                f"{option} {value!r}: expected up to 64 small letters, digits, '.', '_' or '-', "
                "the first a letter or a digit"
            )
    from export.run import Labels, run

    packaged = run(
        run_dir,
        out=out,
        labels=Labels(name=name, version=version),
        variants=chosen,
        photographs=photos,
        replace=force,
    )
    _show(packaged)


def _parsed(text: str) -> tuple[Variant, ...]:
    """The variants of a comma-separated list, in the order of `VARIANTS`."""
    asked = {part.strip() for part in text.split(",")}
    unknown = sorted(asked - set(VARIANTS))
    if unknown:
        raise InvalidConfiguration(
            f"--variants: expected some of {','.join(VARIANTS)}, found {unknown[0]!r}"
        )
    if not asked & {"fp32", "fp16"}:
        raise InvalidConfiguration("--variants: a bundle needs fp16 or fp32, which devices run")
    return tuple(variant for variant in VARIANTS if variant in asked)


def _show(packaged: Packaged) -> None:
    from rich.console import Console
    from rich.table import Table

    manifest, report = packaged.bundle.manifest, packaged.report
    figures: dict[str, tuple[str, ...]] = {
        found.variant: (
            *(f"{value:.6f}" for value in (found.cosine_min, found.cosine_mean)),
            *(f"{value:.6f}" for value in (found.centred_min, found.end_to_end_min)),
            f"{found.ms:.1f}",
        )
        for found in report.agreements
    }
    table = Table("file", "MB", "cosine", "mean", "centred", "end to end", "ms")
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
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
