"""Oxford Buildings, the protocol of 2007.  Philbin et al., CVPR 2007."""

from __future__ import annotations

from pathlib import Path

from training.data.public.description import Inventory, PublicSet, require_present
from training.data.public.landmarks import (
    OXFORD,
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
    images = folder_of_images(home, twin="roxford5k")
    return read_old(home / "gnd_oxford5k.pkl", images)


def _inventory(home: Path) -> Inventory:
    return inventory_of_old(_read(home))


OXFORD5K = PublicSet(
    name="oxford5k",
    title="Oxford Buildings, as of 2007",
    terms=TERMS + "annotations by Philbin, Chum, Isard, Sivic and Zisserman, CVPR 2007",
    homes=("test/oxford5k", "datasets/oxford5k", "oxford5k"),
    mark="gnd_oxford5k.pkl",
    files=(
        ground_truth(
            "http://cmp.felk.cvut.cz/cnnimageretrieval/data/test/oxford5k/gnd_oxford5k.pkl"
        ),
        *photographs(*OXFORD),
    ),
    disk_bytes=2_000_000_000,
    counts={"gallery images": 5_063, "queries": 55},
    inventory=_inventory,
    by_hand=None,
)


def load(root: Path) -> Landmarks[Marks]:
    """The gallery, the queries with their boxes, and what each is to find.

    Raises `InvalidDataset` when the ground truth is malformed or a photograph is missing.
    """
    lists = _read(OXFORD5K.home(root))
    require_present([*lists.gallery, *lists.queries], name="oxford5k", root=root)
    return lists
