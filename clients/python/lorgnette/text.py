"""Text from elsewhere, fit for a terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    """The text without control characters: what others wrote must not steer a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
