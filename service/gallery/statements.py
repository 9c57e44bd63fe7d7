"""The writes of the catalogue, each inside a transaction that its caller holds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import SpaceMismatch
from lorgnette.manifest import Space
from service.gallery.checksums import item_crc, vector_crc
from service.gallery.records import NewItem, Put


def now() -> str:
    """This moment in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seq_of(connection: sqlite3.Connection) -> int:
    """The last write's number."""
    (seq,) = connection.execute("SELECT seq FROM state").fetchone()
    return int(seq)


def spaces_of(connection: sqlite3.Connection) -> tuple[Space, ...]:
    """The spaces that were not retired, by id."""
    rows = connection.execute("SELECT id, dim FROM spaces WHERE retired_at IS NULL ORDER BY id")
    return tuple(Space(id=space_id, dim=dim) for space_id, dim in rows.fetchall())


def next_seq(connection: sqlite3.Connection) -> int:
    """The number of the write that is being made."""
    connection.execute("UPDATE state SET seq = seq + 1")
    return seq_of(connection)


def register(connection: sqlite3.Connection, space: Space) -> None:
    """Make a space one that vectors are written in, also when it had been retired.

    Raises `SpaceMismatch` when it is known with another dimension.
    """
    connection.execute(
        "INSERT INTO spaces (id, dim, created_at) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET retired_at = NULL",
        (space.id, space.dim, now()),
    )
    (dim,) = connection.execute("SELECT dim FROM spaces WHERE id = ?", (space.id,)).fetchone()
    if dim != space.dim:
        raise SpaceMismatch(
            f"space {space.id} of this gallery has {dim} dimensions, the bundle states "
            f"{space.dim}: one of the two manifests is wrong; export the bundle again"
        )


def upsert_item(connection: sqlite3.Connection, item: NewItem | Put, *, seq: int) -> int:
    """Write an item without its vectors; those of another photograph go. Returns its key."""
    old = connection.execute(
        "SELECT key, source, size, mtime_ns FROM items WHERE id = ? AND NOT deleted", (item.id,)
    ).fetchone()
    content = (item.source, item.stamp.size, item.stamp.mtime_ns)
    metadata = json.dumps(dict(item.metadata))
    # Without a source nobody can tell whether the photograph is still the same one.
    if old is not None and (old[1:] != content or not item.source):
        connection.execute("DELETE FROM vectors WHERE key = ?", (old[0],))
    (key,) = connection.execute(
        "INSERT INTO items (id, seq, source, size, mtime_ns, metadata, deleted, crc)"
        " VALUES (?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq,"
        " source = excluded.source, size = excluded.size, mtime_ns = excluded.mtime_ns,"
        " metadata = excluded.metadata, deleted = 0, crc = excluded.crc RETURNING key",
        (item.id, seq, *content, metadata, item_crc(item.id, seq, *content, metadata)),
    ).fetchone()
    return int(key)


def put_vector(
    connection: sqlite3.Connection, space: Space, *, key: int, vector: NDArray[np.float32], seq: int
) -> None:
    """Write an item's unit row `[D]` of one space."""
    if vector.shape != (space.dim,):
        raise ValueError(f"expected a row of {space.dim}, found shape {vector.shape}")
    blob = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    connection.execute(
        "INSERT OR REPLACE INTO vectors (space, key, seq, dtype, blob, crc)"
        " VALUES (?, ?, ?, 'f32', ?, ?)",
        (space.id, key, seq, blob, vector_crc(key, blob)),
    )


def delete_items(connection: sqlite3.Connection, ids: Sequence[str], *, seq: int) -> int:
    """Delete items and their vectors of every space. Returns how many there were."""
    wanted = json.dumps(list(ids))
    chosen = "SELECT key FROM items WHERE id IN (SELECT value FROM json_each(?))"
    connection.execute(f"DELETE FROM vectors WHERE key IN ({chosen})", (wanted,))  # noqa: S608 - a constant
    deleted = connection.execute(
        "UPDATE items SET deleted = 1, seq = ?, metadata = '{}', crc = NULL WHERE NOT deleted"
        " AND id IN (SELECT value FROM json_each(?))",
        (seq, wanted),
    )
    return deleted.rowcount
