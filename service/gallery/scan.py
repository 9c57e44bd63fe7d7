"""Finding the photographs of a folder."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lorgnette.errors import InvalidInput
from lorgnette.image import EXTENSIONS
from lorgnette.text import quoted
from service.gallery.item_id import RULE, is_item_id
from service.gallery.records import Stamp

_UNREAD = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"}
)
"""Endings of photographs nobody should miss without being told."""


@dataclass(frozen=True)
class Photograph:
    """A file to index. id: its POSIX path below the folder, behind the prefix."""

    id: str
    path: Path
    stamp: Stamp


@dataclass(frozen=True)
class Skipped:
    """A photograph or folder that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a folder holds, in order of id."""

    photographs: tuple[Photograph, ...]
    skipped: tuple[Skipped, ...]


def scan(folder: Path, *, prefix: str = "") -> Scan:
    """List the photographs of a folder and its subfolders by file name ending.

    Hidden names are passed over. Links are followed, each real folder once, so that a loop ends.
    Raises `InvalidInput` when the folder cannot be listed or holds no photograph.
    """
    _refuse(folder, prefix=prefix)
    root = folder.resolve()
    found: list[Photograph | Skipped] = []
    visited: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        entries = _visible(directory, root, visited)
        if isinstance(entries, Skipped):
            found.append(entries)
            continue
        waiting += [Path(entry.path) for entry in reversed(entries) if entry.is_dir()]
        found += [
            _photograph(Path(entry.path), root, prefix=prefix)
            for entry in entries
            if Path(entry.name).suffix.lower() in EXTENSIONS | _UNREAD and not entry.is_dir()
        ]
    photographs = sorted((x for x in found if isinstance(x, Photograph)), key=lambda x: x.id)
    skipped = [x for x in found if isinstance(x, Skipped)]
    if not photographs:
        raise InvalidInput(_nothing_in(folder, skipped))
    return Scan(tuple(photographs), tuple(skipped))


def _visible(
    directory: Path, root: Path, visited: set[tuple[int, int]]
) -> list[os.DirEntry[str]] | Skipped:
    """The entries of a directory that are not hidden; none of one that was visited before."""
    try:
        found = directory.stat()
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        return Skipped(_shown(directory, root), error.strerror or str(error))
    if (found.st_dev, found.st_ino) in visited:
        return []
    visited.add((found.st_dev, found.st_ino))
    return [entry for entry in entries if not entry.name.startswith(".")]


def _refuse(folder: Path, *, prefix: str) -> None:
    if not _is_utf8(prefix):
        raise InvalidInput("the --prefix given is not valid UTF-8: choose another")
    if not is_item_id(str(PurePosixPath(prefix) / "x")):
        raise InvalidInput(f"--prefix: no item can be called {quoted(prefix)}/…: ids have {RULE}")
    if not folder.exists():
        raise InvalidInput(f"there is no folder {folder}: check the path")
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is a file, expected a folder of photographs: give its folder")
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be listed ({error.strerror}): check its permissions"
        ) from error


def _photograph(path: Path, root: Path, *, prefix: str) -> Photograph | Skipped:
    shown = _shown(path, root)
    if not _is_utf8(str(path)):
        return Skipped(shown, "its name is not valid UTF-8: rename it")
    if path.suffix.lower() in _UNREAD:
        return Skipped(shown, f"{path.suffix[1:].upper()} is not read: save a copy of it as JPEG")
    try:
        found = path.stat()
    except OSError as error:
        return Skipped(shown, error.strerror or str(error))
    if not stat.S_ISREG(found.st_mode):
        return Skipped(shown, "it is a pipe, socket or device, not a regular file")
    item_id = str(PurePosixPath(prefix) / shown)
    if not is_item_id(item_id):
        return Skipped(shown, f"its path can be no id: rename it; ids have {RULE}")
    stamp = Stamp(size=found.st_size, mtime_ns=found.st_mtime_ns)
    return Photograph(id=item_id, path=path, stamp=stamp)


def _is_utf8(text: str) -> bool:
    """Whether no byte of it failed to decode, which Python keeps as a lone surrogate."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _shown(path: Path, root: Path) -> str:
    """The path below the folder, fit for printing: undecodable bytes become question marks."""
    relative = path.relative_to(root).as_posix()
    return relative.encode(errors="replace").decode()


def _nothing_in(folder: Path, skipped: list[Skipped]) -> str:
    if skipped:
        first = skipped[0]
        return f"no photograph in {folder} can be read; the first, {first.name}: {first.reason}"
    endings = ", ".join(sorted(EXTENSIONS))
    return f"no photographs in {folder}: expected files ending in {endings}"
