"""Public data sets: list them, fetch them, check them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.data.public.check import Findings
    from training.data.public.description import PublicSet

NameArgument = Annotated[str, typer.Argument(help="A name `lorgnette data list` knows.")]

INCOMPLETE = 1
_RETRIES, _FIRST_WAIT_S, _TIMEOUT_S = 6, 1.0, 60.0


def list_sets(
    name: Annotated[
        str | None, typer.Argument(help="Show this set's files instead.", show_default="all sets")
    ] = None,
) -> None:
    """List the public data sets, or the files of one.

    \b
    Examples:
      lorgnette data list
      lorgnette data list roxford5k
    """
    from training.data.public.registry import SETS, find

    if name is not None:
        _show_files(find(name))
        return
    typer.echo(f"{'name':<12} {'on disk':>8}  {'files':>5}  what")
    for public in SETS.values():
        size = f"{public.disk_bytes / 1e9:,.0f} GB" if public.disk_bytes else "-"
        typer.echo(f"{public.name:<12} {size:>8}  {len(public.files):>5}  {public.title}")


def get_set(
    name: NameArgument,
    *,
    root: Annotated[Path, typer.Option(help="Folder that holds, or will hold, the data sets.")],
    mirror: Annotated[
        str | None,
        typer.Option(
            help="Fetch from this address instead: it has the files under the names "
            "`lorgnette data list NAME` shows.",
            show_default="the publisher",
        ),
    ] = None,
) -> None:
    """Fetch what is missing of a public data set, and unpack it.

    Interrupted or cut off, run the same command again: it goes on where it stopped. What is there
    is kept. Archives are removed once they are unpacked. No address could be verified when this was
    written; where one fails, the error says which file to fetch by hand and where to put it.

    \b
    Examples:
      lorgnette data get roxford5k --root ~/data
      lorgnette data get cub --root ~/data --mirror http://mirror.example/cub
    """
    import httpx

    from training.data.public.display import Bars
    from training.data.public.get import Order, get
    from training.data.public.registry import find
    from training.data.public.transfer import Patience, Ways

    public = find(name)
    typer.echo(f"{public.title}. Terms: {public.terms}.", err=True)
    patience = Patience(retries=_RETRIES, wait_s=_FIRST_WAIT_S)
    with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True) as http, Bars() as bars:
        ways = Ways(http, patience, lambda folder: shutil.disk_usage(folder).free, bars)
        findings = get(Order(public, root, mirror), ways)
    _tell(public, findings)


def check_set(
    name: NameArgument,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The set's folder, or the --root above it.")
    ],
) -> None:
    """Say whether a public data set is whole: its lists, its counts, every image's file.

    The exit code is 1 if it is not.

    \b
    Examples:
      lorgnette data check roxford5k ~/data
      lorgnette data check folder ~/photos/mugs
    """
    from training.data.public.check import check
    from training.data.public.registry import find

    public = find(name)
    _tell(public, check(public, directory))


def _tell(public: PublicSet, findings: Findings) -> None:
    counts = ", ".join(f"{count:,} {what}" for what, count in findings.counts.items())
    state = "is not whole" if findings.problems else "is whole"
    typer.echo(f"{public.name} in {findings.home} {state}" + (f": {counts}" if counts else ""))
    for problem in findings.problems:
        typer.echo(f"  {problem}", err=True)
    if findings.problems:
        raise typer.Exit(INCOMPLETE)


def _show_files(public: PublicSet) -> None:
    typer.echo(f"{public.name}: {public.title}")
    typer.echo(f"terms: {public.terms}")
    typer.echo(f"place: {public.homes[0] or 'any folder'}, below --root")
    if public.by_hand:
        typer.echo(public.by_hand)
    for file in public.files:
        known = (
            f"{file.checksum.algorithm} {file.checksum.digits}"
            if file.checksum
            else ("checksum not known: verified by content")
        )
        typer.echo(f"  {file.name}  {file.url or 'by hand only'}  {known}")
