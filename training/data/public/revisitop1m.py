"""R1M: a million distractors that show none of Oxford's and Paris' landmarks.  CVPR 2018."""

from __future__ import annotations

from pathlib import Path

from training.data.public.description import (
    Inventory,
    PublicSet,
    RemoteFile,
    Whole,
    below,
    lines_of,
    require_present,
)
from training.data.public.layout import names

_BASE = "http://ptak.felk.cvut.cz/revisitop/revisitop1m"
_LIST = "revisitop1m.txt"


def _images(home: Path) -> list[Path]:
    """The list has the names with their endings, unlike those of Oxford and Paris."""
    path = home / _LIST
    return [home / "jpg" / name for name in names(lines_of(path), where=f"{path}")]


def _inventory(home: Path) -> Inventory:
    images = _images(home)
    return Inventory({"images": len(images)}, images)


def _archive(number: int) -> RemoteFile:
    name = f"revisitop1m.{number}.tar.gz"
    return RemoteFile(name, f"{_BASE}/jpg/{name}", None, None, put=below("jpg"))


REVISITOP1M = PublicSet(
    name="revisitop1m",
    title="R1M distractors for Oxford and Paris",
    terms="photographs from Flickr (YFCC100M), each under its author's Creative Commons licence; "
    "chosen by Radenović, Iscen, Tolias, Avrithis and Chum, CVPR 2018",
    homes=("test/revisitop1m", "datasets/revisitop1m", "revisitop1m"),
    mark=_LIST,
    files=(
        RemoteFile(_LIST, f"{_BASE}/{_LIST}", None, None, put=Whole(_LIST)),
        *(_archive(number) for number in range(1, 101)),
    ),
    disk_bytes=450_000_000_000,
    counts={"images": 1_001_001},
    inventory=_inventory,
    by_hand=None,
)


def load(root: Path) -> tuple[Path, ...]:
    """All distractors, in the order of their list.  Raises `InvalidDataset`."""
    images = _images(REVISITOP1M.home(root))
    require_present(images, name="revisitop1m", root=root)
    return tuple(images)
