"""What an operator does with a gallery: look at its generations, go back, let a space go, and
take and restore snapshots. A running service follows within a second."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from service import defaults
from service.operating import Data, Yes, confirm, opened

Name = Annotated[str, typer.Argument(help="The snapshot's name.", show_default=False)]


def generations(*, data: Data = defaults.DATA) -> None:
    """List the published generations, newest first, and which are live.

    \b
    Examples:
      lorgnette generations
      lorgnette generations --data /srv/gallery
    """
    from service.gallery import steering

    with opened(data):
        for manifest, is_live in steering.listed(data):
            typer.echo(
                f"{manifest.generation:>6}  {'live' if is_live else '':4}  {manifest.created_at}  "
                f"{manifest.count} photographs of {manifest.space.id} ({manifest.factory}, "
                f"recall@10 {manifest.recall_at_10:.3f})"
            )


def promote(
    generation: Annotated[int, typer.Argument(min=1, help="Its number.", show_default=False)],
    *,
    data: Data = defaults.DATA,
) -> None:
    """Make an older generation live again, after checking its files.

    What was indexed after it is still found.

    \b
    Examples:
      lorgnette generations
      lorgnette promote 41
    """
    from service.gallery import steering

    with opened(data) as catalogue:
        manifest = steering.promote(catalogue, data, generation, expected=None)
    typer.echo(f"generation {generation} is live: {manifest.count} photographs")


def retire(
    space: Annotated[str, typer.Argument(help="The space's id.", show_default=False)],
    *,
    data: Data = defaults.DATA,
) -> None:
    """Let a space go after a teacher upgrade: its vectors and indexes are removed.

    Students of that space are told from then on to fetch a new model. The last
    live space is refused.

    \b
    Examples:
      lorgnette retire landmarks-0123456789ab
    """
    from service.gallery import steering

    with opened(data) as catalogue:
        steering.retire(catalogue, data, space)
    typer.echo(f"{space} is retired")


def snapshot_create(
    name: Annotated[
        str | None, typer.Argument(help="Letters, digits, - and _.", show_default="the time")
    ] = None,
    *,
    data: Data = defaults.DATA,
) -> None:
    """Take a snapshot of the gallery while it is used, and print its directory.

    \b
    Examples:
      lorgnette snapshot create
      lorgnette snapshot create before-upgrade --data /srv/gallery
    """
    from service.gallery import backup

    with opened(data) as catalogue:
        taken = backup.create(catalogue, data, name=name)
    typer.echo(backup.directory_of(data, taken.name))


def snapshot_list(*, data: Data = defaults.DATA) -> None:
    """List the snapshots, newest first.

    \b
    Examples:
      lorgnette snapshot list
      lorgnette snapshot list --data /srv/gallery
    """
    from service.gallery import backup
    from service.gallery.catalogue import require_gallery

    # Snapshots may have been copied to where the gallery is still to be restored.
    if not (data / backup.SNAPSHOTS_NAME).is_dir():
        require_gallery(data)
    for taken in backup.listed(data):
        typer.echo(
            f"{taken.name}  {taken.created_at}  {taken.items} items, {taken.total_bytes:,} bytes"
        )


def snapshot_restore(name: Name, *, data: Data = defaults.DATA) -> None:
    """Make the gallery what it was; what was written since the snapshot is lost.

    Every file is checked before anything is replaced. Also into a new --data
    directory, into whose snapshots/ the snapshot was copied.

    \b
    Examples:
      lorgnette snapshot list
      lorgnette snapshot restore before-upgrade
    """
    from service.gallery import backup
    from service.gallery.catalogue import Catalogue
    from service.gallery.restore import restore

    # Opening makes a gallery where there is none, which is only right for one to be restored.
    backup.present(data, name)
    with closing(Catalogue.open(data)) as catalogue:
        back = restore(catalogue, data, name)
    typer.echo(f"{back.items} items are back as of {back.created_at}")


def snapshot_delete(
    name: Name,
    *,
    data: Data = defaults.DATA,
    yes: Yes = False,
) -> None:
    """Remove a snapshot, also a damaged one. The gallery stays as it is.

    \b
    Examples:
      lorgnette snapshot delete before-upgrade
      lorgnette snapshot delete before-upgrade --yes --data /srv/gallery
    """
    from service.gallery import backup

    with opened(data):
        backup.present(data, name)
        confirm(f"Delete the snapshot {name} in {data} for good?", yes=yes)
        backup.delete(data, name)
    typer.echo(f"the snapshot {name} is deleted")
