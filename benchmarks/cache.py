"""What takes long to make and is the same each time: rows, their neighbours, indexes by `auto`.

Kept in a folder whose name is of the code and of FAISS that made it: a change of either makes all
anew. So figures that share an index build it once, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common

_PREFIX = "lorgnette-benchmarks-"
_MADE_BY = ("service/gallery/*.py", "benchmarks/cache.py")


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--cache`, for `common.options_of`."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="keep vectors and indexes in a folder there, 5 GB (default: %(default)s)",
    )


@dataclass(frozen=True)
class Cache:
    """A folder of finished files."""

    folder: Path

    @classmethod
    def of(cls, parent: Path) -> Cache:
        """The folder for the code as it is; what other code has left beside it is removed."""
        digest = hashlib.sha256(version("faiss-cpu").encode())
        for file in sorted(file for part in _MADE_BY for file in common.ROOT.glob(part)):
            digest.update(file.read_bytes())
        digest.update(inspect.getsource(common.clustered).encode())
        folder = parent / f"{_PREFIX}{digest.hexdigest()[:12]}"
        for other in parent.glob(f"{_PREFIX}*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    def file(self, name: str, write: Callable[[Path], object]) -> Path:
        """The file of that name, written first if there is none: whole or not at all."""
        path = self.folder / name
        if not path.exists():
            part = self.folder / f"{os.getpid()}-{name}"
            part.unlink(missing_ok=True)
            write(part)
            part.rename(path)
        return path

    def array(self, name: str, make: Callable[[], np.ndarray[Any, Any]]) -> Any:
        """An array, mapped into memory."""

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.save(file, make())

        return np.load(self.file(f"{name}.npy", write), mmap_mode="r")

    def facts(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is told as JSON."""
        file = self.file(f"{name}.json", lambda path: path.write_text(json.dumps(make())))
        found: dict[str, Any] = json.loads(file.read_text())
        return found
