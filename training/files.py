"""Files that appear whole or not at all, and their sha256."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from lorgnette.errors import DiskFull, InvalidConfiguration


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, fsync, rename: a reader sees the old file or the whole new one.

    Raises `DiskFull`, or `InvalidConfiguration` when the place cannot be written to.
    """
    try:
        _write(path, content)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"no space left to write {path}: free some and run again") from error
        raise InvalidConfiguration(f"cannot write {path}: {error.strerror}") from error


def sha256_of(content: bytes) -> str:
    """The content's sha256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}.{os.getpid()}.building")
    try:
        with building.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        building.replace(path)
    finally:
        building.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
