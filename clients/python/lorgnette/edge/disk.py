"""What can go wrong with an edge box's disk, said in our words."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lorgnette.errors import DiskFull, InvalidConfiguration


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into errors of ours, naming the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise InvalidConfiguration(
                f"another `lorgnette edge` uses {path}: stop it, or name another --state"
            ) from error
        if "full" in str(error):
            raise _full(path) from error
        raise InvalidConfiguration(f"cannot use {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise InvalidConfiguration(f"{path} is not our state ({error}): remove it") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path) from error
        # The one in the way is often another: a folder above, or the lines beside the state.
        refused = error.filename or path
        raise InvalidConfiguration(f"cannot write {refused}: {error.strerror or error}") from error


def _full(path: Path) -> DiskFull:
    return DiskFull(f"no space left for {path}: free some; nothing is lost")
