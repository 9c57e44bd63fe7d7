"""A directory that appears whole or not at all."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from lorgnette.bundle import MANIFEST_NAME
from lorgnette.errors import InvalidConfiguration

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def require_free(out: Path, *, replace: bool) -> None:
    """Check early that a bundle may be written at `out`.

    replace: an existing bundle may be replaced, and nothing else.
    Raises `InvalidConfiguration` when it is taken, or no directory can be made there.
    """
    parent = next(path for path in (out.parent, *out.parent.parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InvalidConfiguration(f"--out {out}: cannot write in {parent}; choose another place")
    if not out.exists():
        return
    if not out.is_dir():
        raise InvalidConfiguration(f"--out {out} is a file: expected a directory to be made")
    entries = {path.name for path in out.iterdir()}
    if not entries:
        return
    if not replace:
        raise InvalidConfiguration(
            f"--out {out} exists and is not empty: give --force to replace the bundle in it, or "
            "another --out"
        )
    foreign = {name for name in entries if not _belongs_to_a_bundle(name)}
    if MANIFEST_NAME not in entries or foreign:
        raise InvalidConfiguration(
            f"--out {out} is not only a bundle (it holds {min(foreign or entries)!r}): --force "
            "replaces bundles alone; choose another --out"
        )


def _belongs_to_a_bundle(name: str) -> bool:
    return name in (MANIFEST_NAME, "golden") or name.endswith(".onnx")


class Staging:
    """A hidden sibling of `out` that `publish` puts in its place; gone afterwards in any case."""

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self.directory = self.out.with_name(f".{self.out.name}.{os.getpid()}.exporting")
        self._made = [path for path in self.out.parents if not path.exists()]

    def __enter__(self) -> Staging:
        _remove_abandoned(self.out)
        self.directory.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        for parent in self._made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write files by relative path, and see them onto the disk."""
        for name, content in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

    def publish(self) -> None:
        """Make the staged directory `out` in one step; what was there before is removed last."""
        is_replaced = self.out.is_dir() and any(self.out.iterdir())
        if is_replaced:
            _exchange(self.directory, self.out)
        else:
            self.directory.rename(self.out)
        _sync(self.out.parent)


def _remove_abandoned(out: Path) -> None:
    """Remove what an export left behind when it was killed: the staging of no living process."""
    staged = re.compile(rf"\.{re.escape(out.name)}\.(\d+)\.exporting")
    for path in out.parent.iterdir() if out.parent.is_dir() else ():
        found = staged.fullmatch(path.name)
        if found and (int(found[1]) == os.getpid() or not _is_alive(int(found[1]))):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _exchange(new: Path, old: Path) -> None:
    """Swap two directories: atomically where the system can, else by two renames."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    arguments = (_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE)
    if rename is not None and rename(*arguments) == 0:
        return
    aside = old.with_name(f"{new.name}.old")
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
    aside.rename(new)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
