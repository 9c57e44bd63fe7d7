"""From the `code` of an error on the wire back to its class."""

from __future__ import annotations

from collections.abc import Iterator

from lorgnette.errors import LorgnetteError


def by_code(code: str) -> type[LorgnetteError]:
    """Return the class whose `code` this is; `LorgnetteError` for a code newer than this SDK."""
    # A subclass elsewhere may inherit its parent's code: the code still means the parent.
    stated = (error for error in _tree(LorgnetteError) if "code" in vars(error))
    return {error.code: error for error in stated}.get(code, LorgnetteError)


def _tree(root: type[LorgnetteError]) -> Iterator[type[LorgnetteError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)
