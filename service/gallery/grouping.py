"""Grouping hits by a metadata field: the best of every product, not one product's all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from service.gallery.snapshot import Found

Value = str | bool | int | float


def group_values(
    connection: sqlite3.Connection, keys: Sequence[int], *, field: str
) -> dict[int, Value]:
    """The field's value of each item that has one that is text, a number or a truth; one query."""
    rows = connection.execute(
        "SELECT items.key, f.type, f.atom FROM items, json_each(items.metadata) AS f"
        " WHERE items.key IN (SELECT value FROM json_each(?)) AND f.key = ?"
        " AND f.type IN ('text', 'integer', 'real', 'true', 'false')",
        (json.dumps(list(keys)), field),
    ).fetchall()
    return {key: kind == "true" if kind in ("true", "false") else atom for key, kind, atom in rows}


def grouped(hits: Sequence[Found], values: Mapping[int, Value], *, size: int) -> list[list[Found]]:
    """At most `size` hits of each group, best first; the groups in order of their best.

    hits: best first. An item without a value is a group of its own.
    """
    groups: dict[tuple[str, object], list[Found]] = {}
    for hit in hits:
        value = values.get(hit.key)
        # True equals 1 in Python, not in JSON.
        kind = "key" if value is None else "truth" if isinstance(value, bool) else "value"
        group = groups.setdefault((kind, hit.key if value is None else value), [])
        if len(group) < size:
            group.append(hit)
    return list(groups.values())
