"""`lorgnette embed`: bulk embedding by this machine or by a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import defaults

if TYPE_CHECKING:
    from service.bulk.run import Engine, Summary


class EngineName(StrEnum):
    """Who does the work."""

    local = "local"
    ray = "ray"


def embed(
    folder: Annotated[Path, typer.Argument(help="Folder of photographs.", show_default=False)],
    *,
    bundle: Annotated[
        Path, typer.Option(help="Gallery bundle with net and pre.", envvar="LORGNETTE_TEACHER")
    ] = defaults.TEACHER,
    out: Annotated[Path, typer.Option(help="Directory for the shards.", show_default=False)],
    prefix: Annotated[
        str, typer.Option(help="Put before every id, to keep folders apart.", show_default=False)
    ] = "",
    engine: Annotated[
        EngineName, typer.Option(help="This machine's processes, or a Ray cluster (extra ray).")
    ] = EngineName.local,
    cores: Annotated[
        int | None,
        typer.Option(min=1, help="Cores to use here, or Ray workers.", show_default="all here"),
    ] = None,
) -> None:
    """Embed a folder of photographs into shards of vectors, each with its sha256.

    After Ctrl-C or a crash the same command goes on with what is lacking. How many processes and
    threads is tried out on the first shards. `lorgnette index FOLDER --embedded OUT` makes them
    searchable. A Ray cluster is joined by RAY_ADDRESS; its nodes must see the same paths.

    \b
    Examples:
      lorgnette embed /mnt/archive --out /mnt/vectors
      RAY_ADDRESS=head:6379 lorgnette embed /mnt/archive --out /mnt/vectors --engine ray --cores 64
    """
    from service.cli import cores_here, interruptible, settle_libraries

    settle_libraries()
    from service.bulk.run import embed_folder
    from service.console import reporting, tell_skipped

    with interruptible(), reporting() as report:
        chosen = _ENGINES[engine](cores or cores_here())
        summary = embed_folder(folder, bundle, out, engine=chosen, prefix=prefix, report=report)
    tell_skipped(summary.skipped)
    typer.echo(_sentence(summary, out))


def _local(cores: int) -> Engine:
    from service.bulk.local import LocalEngine

    return LocalEngine(cores)


def _ray(cores: int) -> Engine:
    from service.bulk.ray_engine import RayEngine

    return RayEngine(cores)


_ENGINES: dict[EngineName, Callable[[int], Engine]] = {
    EngineName.local: _local,
    EngineName.ray: _ray,
}


def _sentence(summary: Summary, out: Path) -> str:
    manifest = summary.manifest
    kept = manifest.count - summary.looked_at
    return (
        f"{summary.looked_at} looked at, {kept} there already, {len(summary.skipped)} skipped; "
        f"{manifest.shards} shards of space {manifest.space.id} in {out}"
    )
