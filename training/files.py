"""Files that appear whole or not at all, what JSON is written as, and sha256."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from lorgnette.durable import replace_file
from lorgnette.errors import DiskFull, InvalidConfiguration


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Raise what the system says against writing as `DiskFull` or `InvalidConfiguration`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no space left to write {path}: free some and run again") from error
        raise InvalidConfiguration(f"cannot write {path}: {error.strerror}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, fsync, rename: a reader sees the old file or the whole new one.

    Raises `DiskFull`, or `InvalidConfiguration` when the place cannot be written to.
    """
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)


def require_writable(path: Path) -> None:
    """Raise now what writing the file would raise after hours of work; nothing is left there."""
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        TemporaryFile(dir=path.parent).close()


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """The record as indented JSON, to be read by people too; otherwise as `write_atomically`."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())


def sha256_of(content: bytes) -> str:
    """The content's sha256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
