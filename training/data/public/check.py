"""Whether what lies in a folder is a public data set, whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lorgnette.errors import InvalidDataset
from training.data.public.description import PublicSet

_NAMED = 5
"""So many missing files are named."""


@dataclass(frozen=True)
class Findings:
    """home: where the set was looked for.  counts: what its ground truth says there is.

    problems: sentences; none if the set is whole.
    """

    home: Path
    counts: Mapping[str, int]
    problems: tuple[str, ...]


def check(public: PublicSet, root: Path) -> Findings:
    """Read the ground truth, compare its counts with the published ones, look at every image.

    An image is there when its file is and is not empty; it is not decoded.
    """
    home = public.home(root)
    if not home.is_dir():
        places = ", ".join(str(root / folder) for folder in public.homes)
        return Findings(home, {}, (f"no {public.name} in {root}: looked for {places}",))
    try:
        inventory = public.inventory(home)
        images = _images(inventory.images, home)
    except InvalidDataset as error:
        return Findings(home, {}, (str(error),))
    counts = [
        f"expected {published:,} {what}, as published; found {inventory.counts.get(what, 0):,}"
        for what, published in public.counts.items()
        if inventory.counts.get(what, 0) != published
    ]
    return Findings(home, inventory.counts, (*counts, *images))


def _images(images: Iterable[Path], home: Path) -> list[str]:
    missing, empty, total = [], [], 0
    for path in images:
        total += 1
        if not path.is_file():
            missing.append(path)
        elif not path.stat().st_size:
            empty.append(path)
    return [
        f"{len(paths):,} of {total:,} images {are}: {_first(paths, home)}"
        for paths, are in ((missing, "are missing"), (empty, "are empty files"))
        if paths
    ]


def _first(paths: list[Path], home: Path) -> str:
    named = ", ".join(
        str(path.relative_to(home) if path.is_relative_to(home) else path)
        for path in paths[:_NAMED]
    )
    return named if len(paths) <= _NAMED else f"{named}, …"
