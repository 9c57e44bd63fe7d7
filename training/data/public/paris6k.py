"""Paris Buildings, the protocol of 2008.  Philbin et al., CVPR 2008."""

from __future__ import annotations

from pathlib import Path

from training.data.public.description import Inventory, PublicSet, require_present
from training.data.public.landmarks import (
    PARIS,
    TERMS,
    Landmarks,
    folder_of_images,
    ground_truth,
    inventory_of_old,
    photographs,
    read_old,
)
from training.evaluation.landmarks import Marks


def _read(home: Path) -> Landmarks[Marks]:
    images = folder_of_images(home, twin="rparis6k")
    return read_old(home / "gnd_paris6k.pkl", images)


def _inventory(home: Path) -> Inventory:
    return inventory_of_old(_read(home))


PARIS6K = PublicSet(
    name="paris6k",
    title="Paris Buildings, as of 2008",
    terms=TERMS + "annotations by Philbin, Chum, Isard, Sivic and Zisserman, CVPR 2008",
    homes=("test/paris6k", "datasets/paris6k", "paris6k"),
    mark="gnd_paris6k.pkl",
    files=(
        ground_truth("http://cmp.felk.cvut.cz/cnnimageretrieval/data/test/paris6k/gnd_paris6k.pkl"),
        *photographs(*PARIS),
    ),
    disk_bytes=2_600_000_000,
    counts={"gallery images": 6_392, "queries": 55},
    inventory=_inventory,
    by_hand=None,
)


def load(root: Path) -> Landmarks[Marks]:
    """The gallery, the queries with their boxes, and what each is to find.

    Raises `InvalidDataset` when the ground truth is malformed or a photograph is missing.
    """
    lists = _read(PARIS6K.home(root))
    require_present([*lists.gallery, *lists.queries], name="paris6k", root=root)
    return lists
