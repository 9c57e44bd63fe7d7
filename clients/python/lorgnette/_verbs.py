"""The verbs that other distributions add to the `lorgnette` command.

Each is an entry point of the group `lorgnette.commands`: a function with typer annotations in a
module that imports nothing heavy. What a verb needs beyond that it imports when it is called; a
module missing then, or already at loading, becomes `MissingExtra` with the command that installs
the extra in the entry point's brackets. One named `data.get` is `lorgnette data get`: the verbs
before whose dot the same word stands are a group, explained by their module's docstring.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

import typer

from lorgnette.errors import MissingExtra
from lorgnette.exit_codes import INTERRUPTED

GROUP = "lorgnette.commands"


def add_verbs(app: typer.Typer, called: str | None) -> None:
    """Add every installed verb, in the order its distribution lists them.

    called: the verb or group that the command line names; then only it is loaded, if there is one.
    """
    groups: dict[str, typer.Typer] = {}
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    named = {name: entry for name, entry in found.items() if name.partition(".")[0] == called}
    for name, entry in (named or found).items():
        group, _, verb = name.rpartition(".")
        if group and group not in groups:
            groups[group] = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
            app.add_typer(groups[group], name=group)
        _add(groups.get(group, app), verb, entry)


def _add(app: typer.Typer, verb: str, entry: EntryPoint) -> None:
    try:
        function = entry.load()
    except (ModuleNotFoundError, AttributeError) as error:
        _add_absent(app, verb, entry, error)
        return
    app.command(verb)(interruptible(_explained(function, entry)))
    if "." in entry.name:
        app.info.help = sys.modules[entry.module].__doc__


def interruptible(function: Callable[..., None]) -> Callable[..., None]:
    """Ctrl-C ends a verb with the word "interrupted" and exit code 130."""

    @functools.wraps(function)
    def verb(*args: object, **options: object) -> None:
        try:
            function(*args, **options)
        except (KeyboardInterrupt, ImportError) as error:
            # onnxruntime raises ImportError from a Ctrl-C in the middle of its own import.
            if not isinstance(error.__cause__ or error, KeyboardInterrupt):
                raise
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None

    return verb


def _explained(function: Callable[..., None], entry: EntryPoint) -> Callable[..., None]:
    @functools.wraps(function)
    def verb(*args: object, **options: object) -> None:
        try:
            function(*args, **options)
        except ModuleNotFoundError as error:
            raise _missing(entry, error) from error

    return verb


def _add_absent(app: typer.Typer, name: str, entry: EntryPoint, error: Exception) -> None:
    """A verb that is listed, and says what it lacks when it is called, whatever its arguments."""
    missing = _missing(entry, error)

    def verb(_context: typer.Context) -> None:
        raise missing from error

    settings = {
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
    app.command(name, help=f"Not installed: {missing}", context_settings=settings)(verb)


def _missing(entry: EntryPoint, error: Exception) -> MissingExtra:
    command = f"lorgnette {entry.name.replace('.', ' ')}"
    distribution = entry.dist.name if entry.dist else "lorgnette-app"
    module = (error.name if isinstance(error, ModuleNotFoundError) else None) or entry.module
    if module.partition(".")[0] == entry.module.partition(".")[0]:
        return MissingExtra(
            f"`{command}` is not in this installation ({error}): "
            f"pip install --force-reinstall '{distribution}'"
        )
    wanted = f"{distribution}[{','.join(entry.extras)}]" if entry.extras else module
    return MissingExtra(
        f"`{command}` needs {module}, which is not installed: pip install '{wanted}'"
    )
