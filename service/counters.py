"""The folder in which several workers count for `/metrics`, and what killed services left of it."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.gallery.files import is_unlocked

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Set in the workers of one service: the folder in which they count."""

WORKERS_VARIABLE = "LORGNETTE_WORKERS_PARENT"
"""Set in the workers of one service: the process id of what started them."""

_PREFIX = "lorgnette-metrics-"
_OWNER_NAME = "owner.lock"


@contextmanager
def counters_folder() -> Iterator[Path]:
    """A new folder in the temporary directory, removed at the end.

    A service that was killed cannot remove its own: the next one does.
    """
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        # The kernel lets go of it when the process ends, however it ends.
        with (folder / _OWNER_NAME).open("w") as owner:
            fcntl.flock(owner.fileno(), fcntl.LOCK_EX)
            yield folder


def _sweep(directory: Path) -> None:
    """Remove this user's folders that nobody owns. One without a lock is just being made."""
    for folder in directory.glob(f"{_PREFIX}*"):
        try:
            found = folder.lstat()
            if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
                continue
            with (folder / _OWNER_NAME).open("r") as owner:
                is_left = is_unlocked(owner.fileno())
        except OSError:
            continue
        if is_left:
            shutil.rmtree(folder, ignore_errors=True)
