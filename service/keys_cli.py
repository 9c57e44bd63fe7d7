"""The keys that open a service: made, listed and revoked while it runs.

A key is shown once, when it is made. What it opens are its scopes: search, models (fetching
students), metrics, or admin, which opens everything.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from service import defaults
from service.operating import Data
from service.scopes import Scope


def create(
    name: Annotated[str, typer.Argument(help="For whom or what it is.", show_default=False)],
    *,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it opens; may be repeated.", show_default="search and models"),
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(min=0, help="Days until it expires.", show_default="never"),
    ] = None,
    data: Data = defaults.DATA,
) -> None:
    """Make a key and print it, once: only its hash is kept.

    A running service knows it at once.

    \b
    Example:
      lorgnette keys create backups --scope admin --days 90
    """
    from service.keys import KeyFile, id_in

    scopes = scope or [Scope.SEARCH, Scope.MODELS]
    now = datetime.now(UTC).replace(microsecond=0)
    expires_at = None if days is None else now + timedelta(days=days)
    token = KeyFile(data).create(name, scopes=scopes, expires_at=expires_at)
    typer.echo(
        f"key {id_in(token)} for {', '.join(sorted(scopes))}; it is shown only this once:", err=True
    )
    typer.echo(token)


def list_keys(*, data: Data = defaults.DATA) -> None:
    """List the keys: id, state, scopes, expiry and name; never the key itself."""
    from lorgnette.text import visible
    from service.keys import KeyFile

    now = datetime.now(UTC)
    for record in KeyFile(data).records().values():
        until = "never expires" if record.expires_at is None else f"until {record.expires_at:%F}"
        scopes = ",".join(sorted(record.scopes))
        typer.echo(f"{record.id}  {record.state(now):8}{scopes:20}{until:18}{visible(record.name)}")


def revoke(
    key: Annotated[str, typer.Argument(help="The key's id.", show_default=False)],
    *,
    data: Data = defaults.DATA,
) -> None:
    """Shut a key out, for good; a running service heeds it at once."""
    from lorgnette.text import visible
    from service.keys import KeyFile

    record = KeyFile(data).revoke(key)
    typer.echo(f"{record.id} ({visible(record.name)}) opens nothing any more")
