"""Text from elsewhere, fit for a terminal and for an error."""

from __future__ import annotations

from typing import Final

_SHOWN_CHARS: Final = 100
"""So much of an id or a name is enough to know it by."""


def visible(text: str) -> str:
    """The text without control characters: what others wrote must not steer a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def quoted(text: str) -> str:
    """What a caller said, repeated to them in quotation marks, but only so far."""
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…")
