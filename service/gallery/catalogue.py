"""The truth of a gallery, in SQLite: items, their vectors by space, and the order of writes.

Every write takes the next `seq` inside its transaction and is acknowledged by returning, after
the commit has reached the disk. An item's `seq` moves when its photograph, metadata or existence
changes; a vector's own `seq` when the vector is written. So a reader that knows everything up to
a `seq` asks only for what came after it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidGallery, SpaceMismatch
from lorgnette.manifest import Space
from service.gallery import schema
from service.gallery.records import Changes, Item, Known, NewItem, Put, Stamp

__all__ = ["CATALOGUE_NAME", "Catalogue", "Changes", "Item", "Known", "NewItem", "Stamp", "now"]

CATALOGUE_NAME = "catalogue.sqlite"


class Catalogue:
    """`catalogue.sqlite` of a data directory. Thread-safe: each thread has its own connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: weakref.WeakSet[schema.Connection] = weakref.WeakSet()

    @classmethod
    def open(cls, data: Path) -> Self:
        """Open the catalogue of a data directory, creating both when absent.

        Raises `InvalidGallery` when the directory or the file cannot be used.
        """
        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidGallery(
                f"cannot make the data directory {data} ({error.strerror}): choose another --data"
            ) from error
        catalogue = cls(data / CATALOGUE_NAME)
        with schema.translated(catalogue.path):
            schema.prepare(catalogue._connection(), path=catalogue.path)
        return catalogue

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in list(self._connections):
            connection.close()
        self._local = threading.local()

    def _connection(self) -> schema.Connection:
        connection: schema.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = schema.connect(self.path)
            self._local.connection = connection
            self._connections.add(connection)
        return connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed and synced when the block is left, undone when it raises."""
        with schema.translated(self.path):
            connection = self._connection()
            with schema.transaction(connection):
                yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Reads that all see one moment."""
        with schema.translated(self.path):
            connection = self._connection()
            with schema.reading(connection):
                yield connection

    def seq(self) -> int:
        """The last write's number; 0 for an untouched gallery."""
        with self.reading() as connection:
            return _seq(connection)

    def spaces(self) -> tuple[Space, ...]:
        """Every space vectors were written in and that was not retired, by id."""
        with self.reading() as connection:
            return spaces_of(connection)

    def upsert(self, space: Space, items: Sequence[NewItem]) -> int:
        """Write items with their vectors of one space, all or nothing. Returns the write's seq.

        A photograph that changed loses its vectors of other spaces: they show what it was.
        """
        if not items:
            return self.seq()
        with self.writing() as connection:
            register(connection, space)
            seq = next_seq(connection)
            for item in items:
                key = upsert_item(connection, item, seq=seq)
                put_vector(connection, space, key=key, vector=item.vector, seq=seq)
        return seq

    def add_vectors(
        self, space: Space, vectors: Sequence[tuple[Known, NDArray[np.float32]]]
    ) -> int:
        """Write vectors of known items. Returns how many: one changed meanwhile is left out."""
        added = 0
        with self.writing() as connection:
            register(connection, space)
            seq = next_seq(connection)
            for known, vector in vectors:
                same = connection.execute(
                    "SELECT 1 FROM items WHERE key = ? AND NOT deleted AND source = ?"
                    " AND size = ? AND mtime_ns = ?",
                    (known.key, known.source, known.stamp.size, known.stamp.mtime_ns),
                ).fetchone()
                if same is not None:
                    put_vector(connection, space, key=known.key, vector=vector, seq=seq)
                    added += 1
        return added

    def delete(self, ids: Sequence[str]) -> int:
        """Delete items and their vectors of every space. Returns how many there were."""
        with self.writing() as connection:
            return delete_items(connection, ids, seq=next_seq(connection))

    def items(self, keys: Sequence[int]) -> dict[int, Item]:
        """The live items among the keys, in one query."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT key, id, source, metadata FROM items WHERE NOT deleted"
                " AND key IN (SELECT value FROM json_each(?))",
                (json.dumps([int(key) for key in keys]),),
            ).fetchall()
        return {
            key: Item(key=key, id=item_id, source=source, metadata=json.loads(metadata))
            for key, item_id, source, metadata in rows
        }

    def known(self, space_id: str) -> tuple[Known, ...]:
        """Every live item in order of key, and whether it has a vector of the space."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT i.key, i.id, i.source, i.size, i.mtime_ns, v.key IS NOT NULL FROM items i"
                " LEFT JOIN vectors v ON v.space = ? AND v.key = i.key"
                " WHERE NOT i.deleted ORDER BY i.key",
                (space_id,),
            ).fetchall()
        return tuple(
            Known(
                key=key,
                id=item_id,
                source=source,
                stamp=Stamp(size=size, mtime_ns=mtime_ns),
                has_vector=bool(has_vector),
            )
            for key, item_id, source, size, mtime_ns, has_vector in rows
        )

    def changes(self, space: Space, *, since: int) -> Changes:
        """What a reader of a space that knows everything up to `since` has missed."""
        with self.reading() as connection:
            seq = _seq(connection)
            changed = ("FROM vectors WHERE space = ? AND seq > ?", (space.id, since))
            (count,) = connection.execute(f"SELECT count(*) {changed[0]}", changed[1]).fetchone()
            keys, rows = np.empty(count, np.int64), np.empty((count, space.dim), np.float32)
            # By seq the index serves; by key a fresh build reads its table in order.
            order = "key" if since == 0 else "seq, key"
            found = connection.execute(
                f"SELECT key, blob {changed[0]} ORDER BY {order}", changed[1]
            )
            for position, (key, blob) in enumerate(found):
                keys[position] = key
                rows[position] = _row(blob, space, path=self.path)
            gone = connection.execute(
                "SELECT i.key FROM items i LEFT JOIN vectors v ON v.space = ? AND v.key = i.key"
                " WHERE i.seq > ? AND v.key IS NULL",
                (space.id, since),
            ).fetchall()
        return Changes(seq=seq, keys=keys, rows=rows, gone=np.array(gone, np.int64).reshape(-1))

    def has_changes(self, space: Space, *, since: int) -> bool:
        """Whether `changes` would hold anything."""
        with self.reading() as connection:
            found = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM vectors WHERE space = ? AND seq > ?) OR EXISTS"
                " (SELECT 1 FROM items i LEFT JOIN vectors v ON v.space = ? AND v.key = i.key"
                " WHERE i.seq > ? AND v.key IS NULL)",
                (space.id, since, space.id, since),
            ).fetchone()
        return bool(found[0])


def now() -> str:
    """This moment in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seq(connection: sqlite3.Connection) -> int:
    (seq,) = connection.execute("SELECT seq FROM state").fetchone()
    return int(seq)


def spaces_of(connection: sqlite3.Connection) -> tuple[Space, ...]:
    """The spaces that were not retired, by id."""
    rows = connection.execute("SELECT id, dim FROM spaces WHERE retired_at IS NULL ORDER BY id")
    return tuple(Space(id=space_id, dim=dim) for space_id, dim in rows.fetchall())


def next_seq(connection: sqlite3.Connection) -> int:
    """The number of the write that is being made."""
    connection.execute("UPDATE state SET seq = seq + 1")
    return _seq(connection)


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
    # Without a source nobody can tell whether the photograph is still the same one.
    if old is not None and (old[1:] != content or not item.source):
        connection.execute("DELETE FROM vectors WHERE key = ?", (old[0],))
    (key,) = connection.execute(
        "INSERT INTO items (id, seq, source, size, mtime_ns, metadata, deleted)"
        " VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq,"
        " source = excluded.source, size = excluded.size, mtime_ns = excluded.mtime_ns,"
        " metadata = excluded.metadata, deleted = 0 RETURNING key",
        (item.id, seq, *content, json.dumps(dict(item.metadata))),
    ).fetchone()
    return int(key)


def put_vector(
    connection: sqlite3.Connection, space: Space, *, key: int, vector: NDArray[np.float32], seq: int
) -> None:
    """Write an item's unit row `[D]` of one space."""
    if vector.shape != (space.dim,):
        raise ValueError(f"expected a row of {space.dim}, found shape {vector.shape}")
    connection.execute(
        "INSERT OR REPLACE INTO vectors (space, key, seq, dtype, blob) VALUES (?, ?, ?, 'f32', ?)",
        (space.id, key, seq, np.ascontiguousarray(vector, dtype="<f4").tobytes()),
    )


def delete_items(connection: sqlite3.Connection, ids: Sequence[str], *, seq: int) -> int:
    """Delete items and their vectors of every space. Returns how many there were."""
    wanted = json.dumps(list(ids))
    chosen = "SELECT key FROM items WHERE id IN (SELECT value FROM json_each(?))"
    connection.execute(f"DELETE FROM vectors WHERE key IN ({chosen})", (wanted,))  # noqa: S608 - a constant
    deleted = connection.execute(
        "UPDATE items SET deleted = 1, seq = ?, metadata = '{}' WHERE NOT deleted"
        " AND id IN (SELECT value FROM json_each(?))",
        (seq, wanted),
    )
    return deleted.rowcount


def _row(blob: bytes, space: Space, *, path: Path) -> NDArray[np.float32]:
    if len(blob) != 4 * space.dim:
        raise InvalidGallery(
            f"{path} holds a vector of {len(blob)} bytes in space {space.id}, expected "
            f"{4 * space.dim}: restore the catalogue from a copy, or index again elsewhere"
        )
    return np.frombuffer(blob, dtype="<f4")
