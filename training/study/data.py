"""The study's own view of the photographs: the same folders, and one more list of who asks."""

from __future__ import annotations

from pathlib import Path

from lorgnette.errors import InvalidConfiguration
from training.data.splits import SplitRole, read_splits
from training.files import write_atomically, writing_to

FOLDERS = ("caltech101_sample", "grocery_packages", "grocery_produce", "indoor_walks")
SEEN_SPLITS = "splits_seen.tsv"
"""The labelled half of the products by their roles in `splits.tsv`: teachers learn from its
gallery, and are asked with its queries."""


def lay_out(photographs: Path, root: Path) -> None:
    """Make `root` the folder the study's sources are relative to; the photographs stay as they are.

    photographs: with one folder for each of `FOLDERS`.  Raises `InvalidConfiguration` for one that
    is missing.
    """
    missing = [name for name in FOLDERS if not (photographs / name).is_dir()]
    if missing:
        raise InvalidConfiguration(
            f"no folder {', '.join(str(photographs / name) for name in missing)}: --data is the "
            "root of the study's photographs"
        )
    for name in FOLDERS:
        with writing_to(root / name):
            _link_all(photographs / name, root / name)
    packages = photographs / "grocery_packages"
    write_atomically(root / "grocery_packages" / SEEN_SPLITS, _seen(packages).encode())


def _link_all(folder: Path, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for inside in folder.iterdir():
        link = place / inside.name
        if link.is_symlink() and link.readlink() != inside.resolve():
            link.unlink()
        if not link.is_symlink():
            link.symlink_to(inside.resolve())


def _seen(packages: Path) -> str:
    roles = read_splits(packages / "splits.tsv")
    unseen = read_splits(packages / "splits_unseen.tsv")
    products = {_product(path) for path, role in unseen.items() if role == "pool"}
    wanted: tuple[SplitRole, ...] = ("gallery", "query")
    return "".join(
        f"{path}\t{role}\n"
        for path, role in sorted(roles.items())
        if _product(path) in products and role in wanted
    )


def _product(path: str) -> str:
    return path.partition("/")[0]
