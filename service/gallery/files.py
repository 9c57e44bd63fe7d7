"""Who may write to a data directory, and what is said when the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from lorgnette.errors import Conflict, DiskFull, GalleryBusy, InvalidGallery

LOCK_NAME = "writer.lock"

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOCK_TRIES = 10
_LOCK_PAUSE_S = 0.02


@contextlib.contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """Raise the system's refusals to write as `DiskFull`, `Conflict` or `InvalidGallery`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise DiskFull(
                f"no space left to write in {directory} ({error.strerror}): free some and run the "
                "same command again; the live index and everything acknowledged are untouched"
            ) from error
        if error.errno == errno.EROFS:
            raise read_only(directory, reason=str(error.strerror)) from error
        raise InvalidGallery(
            f"cannot write in {directory} ({error.strerror}): check its owner and permissions"
        ) from error


def read_only(directory: Path, *, reason: str) -> Conflict:
    """What is said of a write into a gallery that may only be searched."""
    return Conflict(
        f"{directory} is read-only for this process ({reason}), so that it can be searched and not "
        "changed: mount it for writing, or ask a server that may write to it"
    )


@contextlib.contextmanager
def writer_lock(data: Path) -> Iterator[None]:
    """Be the one process that indexes into this data directory.

    The kernel releases the lock when the process ends, however it ends. Raises `GalleryBusy`
    naming the process that holds it.
    """
    with disk_errors(data):
        file = (data / LOCK_NAME).open("a+")
    with file:
        if not _try_lock(file.fileno(), fcntl.LOCK_EX):
            raise GalleryBusy(_busy(data))
        with disk_errors(data):
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield


def refuse_if_writing(data: Path) -> None:
    """Raise `GalleryBusy` when a process is indexing into this data directory just now."""
    try:
        file = (data / LOCK_NAME).open("r")
    except OSError:
        return
    with file:
        if not is_unlocked(file.fileno()):
            raise GalleryBusy(_busy(data))


def is_unlocked(descriptor: int) -> bool:
    """Whether no process holds the exclusive lock of this open file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _try_lock(descriptor: int, kind: int) -> bool:
    """Lock, trying for a moment: somebody may just be looking (`is_unlocked`)."""
    for attempt in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < _LOCK_TRIES:
                time.sleep(_LOCK_PAUSE_S)
        else:
            return True
    return False


def _busy(data: Path) -> str:
    try:
        pid = (data / LOCK_NAME).read_text().strip()
    except OSError:
        pid = ""
    who = f"process {pid}" if pid.isdigit() else "another process"
    return f"{who} is indexing into this gallery: wait until it has finished, or stop it"


def inode_of(path: Path) -> int:
    """What tells a file from another one of its name; 0 for none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def stamp_of(path: Path) -> tuple[int, int, int] | None:
    """What tells a file that was replaced or written; None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
