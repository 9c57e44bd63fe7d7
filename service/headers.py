"""Reading one header of a request."""

from __future__ import annotations

from starlette.types import Scope


def header_of(scope: Scope, name: bytes) -> str:
    """The first header of that lower-case name; empty where there is none.

    Every request reads five of them: an object for all of them takes as long as a stage.
    """
    for known, value in scope["headers"]:
        if known == name:
            text: str = value.decode("latin-1")
            return text
    return ""
