"""The photographs an experiment is made of, in a fixed order, each known to be readable."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lorgnette.errors import InvalidConfiguration, InvalidImage
from lorgnette.image import EXTENSIONS, read_image
from training.config import Source, SplitRole
from training.progress import track

log = logging.getLogger(__name__)

ROLES: tuple[SplitRole, ...] = ("gallery", "query", "val", "pool")


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
    if source.splits is None:
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    else:
        splits = read_splits(folder / source.splits)
        found = sorted(folder / path for path, role in splits.items() if role == source.role)
        missing = [path for path in found if not path.is_file()]
        if missing:
            raise InvalidConfiguration(
                f"{source.splits} names {len(missing)} files that are not in {folder}, "
                f"the first is {missing[0].relative_to(folder)}: fetch them or mend the file"
            )
    if not found:
        wanted = f" with role {source.role!r}" if source.role else ""
        raise InvalidConfiguration(f"{folder} holds no photographs{wanted}")
    return found


def read_splits(path: Path) -> dict[str, SplitRole]:
    """Read a TSV `path<TAB>role`.  Raises `InvalidConfiguration` naming the first bad line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"cannot read the splits {path}: {error}") from error
    roles = {str(role): role for role in ROLES}
    splits: dict[str, SplitRole] = {}
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or row[1] not in roles:
            raise InvalidConfiguration(
                f"{path}, line {number}: expected path<TAB>role, role one of "
                f"{', '.join(ROLES)}; found {row}"
            )
        if row[0] in splits:
            raise InvalidConfiguration(f"{path}, line {number}: {row[0]} is listed twice")
        splits[row[0]] = roles[row[1]]
    return splits


def _digest_if_readable(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
        read_image(content)
    except (InvalidImage, OSError) as error:
        log.warning("skipped a photograph", extra={"path": str(path), "reason": str(error)})
        return None
    return hashlib.sha256(content).digest()


def _listing(root: Path, sources: Iterable[Source]) -> str:
    return ", ".join(str(root / source.folder) for source in sources)
