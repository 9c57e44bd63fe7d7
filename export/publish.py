"""A bundle that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lorgnette.bundle import require_replaceable
from lorgnette.durable import (
    exclusively,
    recover_directory,
    replace_directory,
    sibling,
    write_synced,
)
from lorgnette.errors import InvalidConfiguration


def require_free(out: Path, *, replace: bool) -> None:
    """Check early that a bundle may be written at `out`.

    replace: an existing bundle may be replaced, and nothing else.
    Raises `InvalidConfiguration` when it is taken, or no directory can be made there.
    """
    parent = next(path for path in (out.parent, *out.parent.parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InvalidConfiguration(f"--out {out}: cannot write in {parent}; choose another place")
    if out.is_dir() and any(out.iterdir()) and not replace:
        raise InvalidConfiguration(
            f"--out {out} exists and is not empty: give --force to replace the bundle in it, or "
            "another --out"
        )
    require_replaceable(out.resolve())


@contextmanager
def staged(out: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write files aside, by relative path; leaving the block without an error puts them at `out`.

    Whatever fails, `out` is what it was before. What a killed export left aside is removed.
    """
    target = out.resolve()
    with exclusively(target):
        recover_directory(target)
        staging = sibling(target, "exporting")
        shutil.rmtree(staging, ignore_errors=True)
        try:
            for name, content in files.items():
                path = staging / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_synced(path, content)
            yield staging
            replace_directory(target, staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
