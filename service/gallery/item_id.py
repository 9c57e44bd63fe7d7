"""What may be an item's id: `/admin/items/{id}` must reach it, whoever wrote it."""

from __future__ import annotations

import re

MAX_ID_CHARS = 512

RULE = (
    f"1 to {MAX_ID_CHARS} characters without control characters, whose parts between slashes are "
    "not empty, '.' or '..'"
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def is_item_id(text: str) -> bool:
    """Whether it follows the `RULE`. An id names no file, and still must not become another one."""
    is_plain = len(text) <= MAX_ID_CHARS and not _CONTROL.search(text)
    return is_plain and not {"", ".", ".."} & set(text.split("/"))
