"""The `lorgnette` command: the verbs of a device, and those the application adds.

Heavy imports wait until a verb is called, so that `lorgnette --help` is instant.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lorgnette._edge_verb import edge
from lorgnette._log_lines import show_warnings
from lorgnette._model_verbs import models, pull, release, rollback, sign
from lorgnette._output import (
    STUDENT,
    Photos,
    StudentBundle,
    VectorFormat,
    complain,
    vectors,
    write_whole,
)
from lorgnette._search_verb import search
from lorgnette._verbs import add_verbs, interruptible
from lorgnette.errors import InvalidConfiguration, InvalidInput, LorgnetteError
from lorgnette.exit_codes import BAD_INPUT, FAILED, INTERRUPTED


def encode(
    photos: Photos,
    *,
    bundle: StudentBundle = STUDENT,
    style: Annotated[
        VectorFormat, typer.Option("--format", help="json: a line each; base64: float16, as sent.")
    ] = VectorFormat.JSON,
    out: Annotated[
        Path | None, typer.Option(help="Write here, whole or not at all.", show_default="stdout")
    ] = None,
) -> None:
    """Embed photographs here and write their vectors, sending nothing.

    The rows are in the order of the arguments; one photograph that cannot be
    read fails the whole command, so that no row is ever missing.

    \b
    Examples:
      lorgnette encode photo.jpg
      lorgnette encode *.jpg --format npy --out vectors.npy
    """
    import numpy as np

    from lorgnette.bundle import Bundle
    from lorgnette.encoder import Encoder

    if style is VectorFormat.NPY and out is None and sys.stdout.isatty():
        raise InvalidConfiguration("npy is binary, not for a terminal: add --out FILE")
    encoder = Encoder(Bundle.open(bundle))
    rows = np.stack([encoder.encode(photo) for photo in photos])
    content = vectors(photos, rows, space=encoder.space.id, style=style)
    if out is None:
        sys.stdout.buffer.write(content)
    else:
        write_whole(out, content)


_VERBS = (search, encode, pull, models, rollback, sign, release, edge)


def build_app(called: str | None = None) -> typer.Typer:
    """The command with every verb that is installed, or of other distributions with `called` only.

    called: the first word of the command line, if it has one.
    """
    app = typer.Typer(
        name="lorgnette",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_lorgnette)
    for verb in _VERBS:
        app.command()(interruptible(verb))
    if called not in {verb.__name__ for verb in _VERBS}:
        add_verbs(app, called)
    return app


def main() -> None:
    """Run the command. Exit code 2 for what the caller can mend, 130 for Ctrl-C, else 1."""
    show_warnings()
    try:
        build_app(next((word for word in sys.argv[1:] if not word.startswith("-")), None))()
    except LorgnetteError as error:
        complain(error)
        sys.exit(BAD_INPUT if isinstance(error, InvalidInput | InvalidConfiguration) else FAILED)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        import lorgnette

        typer.echo(f"lorgnette {lorgnette.__version__}")
        raise typer.Exit


def _lorgnette(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Visual search whose photos stay on the device.

    \b
    Examples:
      lorgnette pull http://127.0.0.1:8080
      lorgnette search photo.jpg
    """
