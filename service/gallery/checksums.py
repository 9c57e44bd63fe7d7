"""What tells a damaged catalogue from a whole one: SQLite keeps no checksums of its content.

A row without one was written by an older lorgnette; a deleted item has none.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from pathlib import Path

from lorgnette.errors import InvalidGallery
from lorgnette.text import quoted


def vector_crc(key: int, blob: bytes) -> int:
    """The checksum of an item's row, bound to the item."""
    return zlib.crc32(blob, key & 0xFFFFFFFF)


def item_crc(item_id: str, *content: str | int) -> int:
    """The checksum of a live item: its id, seq, source, size, mtime_ns, metadata as text."""
    return zlib.crc32(json.dumps([item_id, *content]).encode())


def check_vector(key: int, blob: bytes, crc: int | None, *, path: Path) -> None:
    """Raise `InvalidGallery` for a row that is not the one that was written."""
    if crc is not None and crc != vector_crc(key, blob):
        raise damaged(path, f"the vector of item {key} is not what was written")


def check_all(connection: sqlite3.Connection, *, path: Path) -> None:
    """Read everything but the vectors' numbers: structure, indexes, and every item.

    Raises `InvalidGallery` for the first thing wrong.
    """
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise damaged(path, " ".join(str(said).split())[:200])
    rows = connection.execute(
        "SELECT crc, deleted, id, seq, source, size, mtime_ns, metadata FROM items"
        " WHERE crc IS NOT NULL"
    )
    for crc, is_deleted, item_id, *content in rows:
        if is_deleted or crc != item_crc(item_id, *content):
            raise damaged(path, f"the item {quoted(str(item_id))} is not what was written")


def damaged(path: Path, what: str) -> InvalidGallery:
    """The error of a catalogue that is not what was written."""
    return InvalidGallery(
        f"{path} is damaged ({what}): restore a snapshot or a copy of it, or choose another "
        "--data directory and index again"
    )
