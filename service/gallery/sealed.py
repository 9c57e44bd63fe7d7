"""Small JSON documents that show when they are no longer what was written.

    {…, "sha256": "<of the rest>"}

A changed digit still parses, and would be believed. One without a seal is of an older lorgnette.
"""

from __future__ import annotations

import hashlib
import json

from lorgnette.errors import InvalidGallery

_SEAL = "sha256"


class BrokenSeal(InvalidGallery):
    """A document is not the one that was written."""


def seal(document: str) -> bytes:
    """A JSON object with its seal, as the bytes of a file."""
    fields = json.loads(document)
    return (json.dumps({**fields, _SEAL: _digest(fields)}, indent=1) + "\n").encode()


def unseal(content: bytes) -> bytes:
    """The document without its seal; as it is when it has none, or is no JSON object at all.

    Raises `BrokenSeal` for one that was changed since.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if not isinstance(fields, dict) or _SEAL not in fields:
        return content
    stated = fields.pop(_SEAL)
    if stated != _digest(fields):
        raise BrokenSeal("its content is not what its sha256 was made of")
    return json.dumps(fields).encode()


def _digest(fields: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
