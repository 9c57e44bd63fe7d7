"""The photographs an experiment is made of, in a fixed order, each known to be readable."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lorgnette.errors import InvalidConfiguration, InvalidImage
from lorgnette.image import read_image
from training.data.specs import Source
from training.data.splits import all_photographs, paths_with_role, read_splits
from training.progress import track

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photographs:
    """paths: readable photographs.  sha256: of all their bytes, in order.  skipped: how many."""

    paths: tuple[Path, ...]
    sha256: str
    skipped: int


def find_photographs(root: Path, sources: Sequence[Source]) -> Photographs:
    """List the sources' photographs and read every one of them once.

    A broken photograph is skipped, named in the log and counted.
    Raises `InvalidConfiguration` when a folder or splits file is missing or malformed, or no
    photograph is left.
    """
    paths = [path for source in sources for path in paths_of(root, source)]
    if len(set(paths)) != len(paths):
        raise InvalidConfiguration("two sources name the same photograph: list each folder once")
    digest, good = hashlib.sha256(), []
    with ThreadPoolExecutor(2) as pool:
        checked = pool.map(_digest_if_readable, paths)
        for path, found in track(
            zip(paths, checked, strict=True), total=len(paths), task="reading photographs"
        ):
            if found is not None:
                good.append(path)
                digest.update(found)
    if not good:
        raise InvalidConfiguration(f"no readable photograph in {_listing(root, sources)}")
    return Photographs(tuple(good), digest.hexdigest(), len(paths) - len(good))


def paths_of(root: Path, source: Source) -> list[Path]:
    """The paths a source names, sorted.  Raises `InvalidConfiguration`."""
    folder = root / source.folder
    if not folder.is_dir():
        raise InvalidConfiguration(f"no folder {folder}: check --data and `folder` in the YAML")
    if source.splits is None or source.role is None:
        return all_photographs(folder)
    return paths_with_role(folder, read_splits(folder / source.splits), source.role)


def _digest_if_readable(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
        read_image(content)
    except (InvalidImage, OSError) as error:
        log.warning("skipped %s: %s", path, error)
        return None
    return hashlib.sha256(content).digest()


def _listing(root: Path, sources: Iterable[Source]) -> str:
    return ", ".join(str(root / source.folder) for source in sources)
