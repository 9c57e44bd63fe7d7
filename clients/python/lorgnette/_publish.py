"""Putting a finished bundle in another's place, by rename, one process at a time."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lorgnette.bundle import MANIFEST_NAME, read_manifest
from lorgnette.errors import InvalidBundle, InvalidConfiguration

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def sibling(directory: Path, purpose: str) -> Path:
    """A hidden neighbour on the same file system, where a rename is atomic."""
    return directory.with_name(f".{directory.name}.{purpose}")


@contextmanager
def exclusively(directory: Path) -> Iterator[None]:
    """Wait until no other process is replacing this directory, then keep others waiting."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(sibling(directory, "lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def recover(directory: Path) -> None:
    """Put the old directory back if a crash fell between the two renames of `replace`."""
    previous = sibling(directory, "previous")
    if previous.exists() and not directory.exists():
        previous.rename(directory)
    shutil.rmtree(previous, ignore_errors=True)


def replace(directory: Path, finished: Path) -> None:
    """Make `finished` the directory. On failure the old one is back in its place."""
    for path in (*finished.rglob("*"), finished):
        _flush(path)
    previous = sibling(directory, "previous")
    if directory.exists():
        directory.rename(previous)
    try:
        finished.rename(directory)
    except BaseException:
        with suppress(OSError):
            previous.rename(directory)
        raise
    _flush(directory.parent)
    shutil.rmtree(previous, ignore_errors=True)


def refuse_foreign(target: Path) -> None:
    """Refuse to replace a directory that holds anything but a bundle: it would be lost."""
    way_out = "name a directory of its own for the bundle"
    if Path.cwd().is_relative_to(target):
        raise InvalidConfiguration(f"{target} holds the current directory: {way_out}")
    if not target.exists():
        return
    if not target.is_dir():
        raise InvalidConfiguration(f"{target} is a file: {way_out}")
    if not any(target.iterdir()):
        return
    try:
        manifest = read_manifest(target)
    except InvalidBundle as error:
        raise InvalidConfiguration(
            f"{target} is not empty and not a bundle: {way_out}, or remove it first"
        ) from error
    ours = {MANIFEST_NAME, *(entry.path for entry in manifest.all_files())}
    present = {path.relative_to(target).as_posix() for path in _files_of(target)}
    for stranger in sorted(present - ours):
        raise InvalidConfiguration(
            f"{target} holds {stranger}, not a part of its bundle, which would be lost: {way_out}"
        )


def _files_of(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())


def _flush(path: Path) -> None:
    """Ask the disk to hold a file's content, or a directory's names, before going on."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no directories.
        return
    try:
        os.fsync(descriptor)
    except OSError:  # pragma: no cover - file systems that cannot sync what was opened read-only
        return
    finally:
        os.close(descriptor)
