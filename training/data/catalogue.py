"""The photographs an experiment is made of, in a fixed order, each known to be readable."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration, InvalidImage
from lorgnette.image import read_image
from training.data.specs import Source
from training.data.splits import all_photographs, paths_with_role, read_splits
from training.progress import track

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Labelled:
    """P photographs of C classes, as a folder or a public data set lists them.

    labels: int64 `[P]` in 0..C-1.  classes: their C names.
    pairs: int64 `[Q, 2]`, places in `paths` of known (anchor, positive) pairs, such as the
    co-visible ones of SfM-120k; None: any two photographs of a class are a pair.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    pairs: NDArray[np.int64] | None


@dataclass(frozen=True, eq=False)
class Photographs:
    """Those that can be read.  sha256: of what they are.  skipped: how many cannot be read."""

    listing: Labelled
    sha256: str
    skipped: int

    @property
    def paths(self) -> tuple[Path, ...]:
        """`[P]`, in the order of the listing."""
        return self.listing.paths

    @property
    def labels(self) -> NDArray[np.int64]:
        """`[P]`, int64 in 0..C-1."""
        return self.listing.labels


def find_photographs(root: Path, sources: Sequence[Source]) -> Photographs:
    """List the sources' photographs and read every one of them once.

    A broken photograph is skipped, named in the log and counted.
    Raises `InvalidConfiguration` when a folder or splits file is missing or malformed, a
    photograph has no class where it should, or no photograph is left.
    """
    named = [pair for source in sources for pair in _with_classes(root, source)]
    paths = [path for path, _ in named]
    if len(set(paths)) != len(paths):
        raise InvalidConfiguration("two sources name the same photograph: list each folder once")
    digest, good = hashlib.sha256(), []
    with ThreadPoolExecutor(2) as pool:
        checked = pool.map(_digest_if_readable, paths)
        for pair, found in track(
            zip(named, checked, strict=True), total=len(paths), task="reading photographs"
        ):
            if found is not None:
                good.append(pair)
                digest.update(found)
    if not good:
        raise InvalidConfiguration(f"no readable photograph in {_listing(root, sources)}")
    return Photographs(labelled(good), digest.hexdigest(), len(paths) - len(good))


def labelled(named: Sequence[tuple[Path, str]]) -> Labelled:
    """A listing from (path, name of the class), classes numbered in the order of their names."""
    classes = sorted({name for _, name in named})
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[name] for _, name in named], dtype=np.int64)
    return Labelled(tuple(path for path, _ in named), labels, tuple(classes), pairs=None)


def trusted(listing: Labelled) -> Photographs:
    """Photographs of a public set, as listed: known by path and size in bytes, not read first.

    A million photographs take hours to read once; a public set has its own check instead.
    Raises `InvalidConfiguration` naming the first that is missing.
    """
    digest = hashlib.sha256()
    for path in listing.paths:
        try:
            digest.update(f"{'/'.join(path.parts[-4:])}\t{path.stat().st_size}\n".encode())
        except OSError as error:
            raise InvalidConfiguration(
                f"{path} is listed but cannot be read ({error.strerror}): fetch the data set again"
            ) from error
    return Photographs(listing, digest.hexdigest(), skipped=0)


def paths_of(root: Path, source: Source) -> list[Path]:
    """The paths a source names, sorted.  Raises `InvalidConfiguration`."""
    folder = root / source.folder
    if not folder.is_dir():
        raise InvalidConfiguration(f"no folder {folder}: check --data and `folder` in the YAML")
    if source.splits is None or source.role is None:
        return all_photographs(folder)
    return paths_with_role(folder, read_splits(folder / source.splits), source.role)


def _with_classes(root: Path, source: Source) -> list[tuple[Path, str]]:
    """Each photograph with the name of its class, which no other source can use."""
    name_of = {"none": _own_class, "folder": _top_folder}[source.labels]
    return [(path, name_of(path, root, source)) for path in paths_of(root, source)]


def _own_class(path: Path, root: Path, source: Source) -> str:
    return str(path.relative_to(root))


def _top_folder(path: Path, root: Path, source: Source) -> str:
    inside = path.relative_to(root / source.folder).parts
    if len(inside) == 1:
        raise InvalidConfiguration(
            f"{path} lies in no folder of {source.folder}, so it has no class: with `labels: "
            "folder` every photograph is in one folder per class; move it, or set `labels: none`"
        )
    return f"{source.folder}/{inside[0]}"


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
