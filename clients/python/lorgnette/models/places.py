"""Where a bundle lies, and its predecessor: two directories that change places.

`student` is in use and `.student.rollback` is what was before. A crash between two renames leaves
`.student.previous`, which `recover` puts where it belongs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lorgnette.durable import sibling, sync


def kept(target: Path) -> Path:
    """The directory of what was in use before."""
    return sibling(target, "rollback")


def recover(target: Path) -> None:
    """Finish, or undo, what a crash cut in `activate` or `swap`."""
    previous, returning = sibling(target, "previous"), sibling(target, "returning")
    if not previous.exists():
        if returning.exists():
            _keep(target, returning)
        return
    if target.exists():
        _keep(target, previous)
    else:
        previous.rename(target)
        if returning.exists():
            _keep(target, returning)
    sync(target.parent)


def activate(target: Path, finished: Path) -> None:
    """Make `finished` the directory in use and keep what was; on failure that is back in place."""
    for path in (*finished.rglob("*"), finished):
        sync(path)
    _put(target, finished)


def swap(target: Path) -> None:
    """Put what was in use before back in use, and keep what is in use now."""
    going_back = sibling(target, "returning")
    kept(target).rename(going_back)
    try:
        _put(target, going_back)
    except BaseException:
        going_back.rename(kept(target))
        raise


def _put(target: Path, finished: Path) -> None:
    previous = sibling(target, "previous")
    if target.exists():
        target.rename(previous)
    try:
        finished.rename(target)
    except BaseException:
        if previous.exists():
            previous.rename(target)
        raise
    sync(target.parent)
    if previous.exists():
        _keep(target, previous)
        sync(target.parent)


def _keep(target: Path, directory: Path) -> None:
    shutil.rmtree(kept(target), ignore_errors=True)
    directory.rename(kept(target))
