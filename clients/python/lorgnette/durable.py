"""Files and directories that appear whole or not at all, and stay after a crash."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _locked(directory: Path) -> int:
        descriptor = os.open(sibling(directory, "lock"), os.O_RDWR | os.O_CREAT, 0o644)
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        return descriptor
else:
    import fcntl

    def _locked(directory: Path) -> int:
        # The parent itself is locked, so that no lock file is left beside the directory.
        descriptor = os.open(directory.parent, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor


def sync(path: Path) -> None:
    """Ask the disk to hold a file's content, or a directory's names. Raises `OSError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no directories.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync what was opened for reading, and say just that.
        if error.errno not in (errno.EINVAL, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and sync its content. Raises `OSError`."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file in one step: a reader, or a crash, meets the old content or the new.

    Raises `OSError`; then nothing is left behind.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    beside.unlink(missing_ok=True)
    try:
        write_synced(beside, content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync(path.parent)


def sibling(directory: Path, purpose: str) -> Path:
    """A hidden neighbour on the same file system, where a rename is atomic."""
    return directory.with_name(f".{directory.name}.{purpose}")


@contextmanager
def exclusively(directory: Path) -> Iterator[None]:
    """Wait until no other process is replacing this directory, then keep others waiting."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(directory)
    try:
        yield
    finally:
        os.close(descriptor)


def recover_directory(directory: Path) -> None:
    """Put the old directory back if a crash fell between the renames of `replace_directory`."""
    previous = sibling(directory, "previous")
    if previous.exists() and not directory.exists():
        previous.rename(directory)
    shutil.rmtree(previous, ignore_errors=True)


def replace_directory(directory: Path, finished: Path) -> None:
    """Make `finished` the directory. On failure the old one is back in its place."""
    for path in (*finished.rglob("*"), finished):
        sync(path)
    previous = sibling(directory, "previous")
    if directory.exists():
        directory.rename(previous)
    try:
        finished.rename(directory)
    except BaseException:
        with suppress(OSError):
            previous.rename(directory)
        raise
    sync(directory.parent)
    shutil.rmtree(previous, ignore_errors=True)
