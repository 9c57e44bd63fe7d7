"""The catalogue's tables, and connections that are safe to trust with them."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from lorgnette.errors import DiskFull, GalleryBusy, InvalidGallery
from service.gallery.files import read_only

BUSY_TIMEOUT_S = 30.0

_PAGE_BYTES = 16_384

_FIRST = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
);
INSERT INTO state VALUES (1, 0);
CREATE TABLE spaces (
    id TEXT PRIMARY KEY,
    dim INTEGER NOT NULL,
    created_at TEXT NOT NULL
);
CREATE TABLE items (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    source TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    deleted INTEGER NOT NULL CHECK (deleted IN (0, 1))
);
CREATE INDEX items_by_seq ON items (seq);
CREATE TABLE vectors (
    space TEXT NOT NULL REFERENCES spaces (id),
    key INTEGER NOT NULL REFERENCES items (key),
    seq INTEGER NOT NULL,
    dtype TEXT NOT NULL CHECK (dtype = 'f32'),
    blob BLOB NOT NULL,
    PRIMARY KEY (space, key)
);
CREATE INDEX vectors_by_seq ON vectors (space, seq);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    stage TEXT NOT NULL,
    done INTEGER NOT NULL,
    total INTEGER NOT NULL,
    rate REAL,
    eta_s REAL,
    created_at TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL,
    result TEXT,
    error TEXT
);
"""

_SECOND = """
ALTER TABLE state ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spaces ADD COLUMN retired_at TEXT;
ALTER TABLE jobs ADD COLUMN request TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN is_cancelled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE TABLE answers (
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    answer TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (route, key)
);
"""

_THIRD = """
CREATE TABLE alignments (
    space TEXT NOT NULL REFERENCES spaces (id),
    student TEXT NOT NULL,
    photographs INTEGER NOT NULL,
    strength REAL NOT NULL,
    cosine_before REAL NOT NULL,
    cosine_after REAL NOT NULL,
    origin BLOB NOT NULL,
    matrix BLOB NOT NULL,
    target BLOB NOT NULL,
    learned_at TEXT NOT NULL,
    PRIMARY KEY (space, student)
);
"""

_FOURTH = """
ALTER TABLE items ADD COLUMN crc INTEGER;
ALTER TABLE vectors ADD COLUMN crc INTEGER;
"""

_FIFTH = """
CREATE TRIGGER items_written_by_older AFTER UPDATE ON items WHEN NEW.crc = OLD.crc BEGIN
    UPDATE items SET crc = NULL WHERE key = NEW.key; END;
"""
"""An older lorgnette that still runs beside this one leaves the checksum of what was before."""

_STEPS = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
"""What leads from each version to the next; a step that was released never changes."""

SCHEMA_VERSION = len(_STEPS)


class Connection(sqlite3.Connection):
    """A connection that can be weakly referenced."""


def connect(path: Path) -> Connection:
    """Open the catalogue for one thread: WAL, every commit synced, foreign keys enforced."""
    connection = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )
    try:
        # Two rows of 512 numbers do not fit in the usual page of 4096 bytes; seven do here.
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite does not wait for others here, whatever the timeout says: retry."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def prepare(connection: sqlite3.Connection, *, path: Path) -> None:
    """Bring a catalogue, new or older, to this version; refuse one a newer lorgnette wrote."""
    with transaction(connection):
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA_VERSION:
            raise InvalidGallery(
                f"{path} has schema version {found}, this lorgnette reads up to "
                f"{SCHEMA_VERSION}: update lorgnette, or choose another --data directory"
            )
        if found == SCHEMA_VERSION:
            return
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if found == 0 and tables != (0,):
            raise InvalidGallery(
                f"{path} is a database of another program: choose another --data directory"
            )
        for step in _STEPS[found:]:
            for statement in step.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write, all or nothing; when the block has been left, it is on the disk."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """Several reads of one moment of the catalogue; inside another block, of that one's moment."""
    is_outermost = not connection.in_transaction
    if is_outermost:
        connection.execute("BEGIN")
    try:
        yield
    finally:
        if is_outermost and connection.in_transaction:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as ours: `DiskFull`, `Conflict`, `GalleryBusy`, `InvalidGallery`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise DiskFull(
                f"cannot write to {path} ({error}): free space on its disk and run the same "
                "command again; everything acknowledged so far is kept"
            ) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise GalleryBusy(
                f"{path} stayed locked by another process for {BUSY_TIMEOUT_S:.0f} s: try again"
            ) from error
        if code == sqlite3.SQLITE_READONLY:
            raise read_only(path.parent, reason=str(error)) from error
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            raise InvalidGallery(
                f"{path} cannot be opened for writing, which searching needs too ({error}): check "
                "that its directory exists, and its owner and permissions"
            ) from error
        raise InvalidGallery(
            f"{path} cannot be used ({error}): restore it from a copy, or choose another "
            "--data directory and index again"
        ) from error
