"""Revisited Oxford.  Radenović et al., CVPR 2018."""

from __future__ import annotations

from pathlib import Path

from training.data.public.description import Inventory, PublicSet, require_present
from training.data.public.landmarks import (
    OXFORD,
    TERMS,
    Landmarks,
    folder_of_images,
    ground_truth,
    inventory_of_revisited,
    photographs,
    read_revisited,
)
from training.evaluation.landmarks import RevisitedTruth


def _read(home: Path) -> Landmarks[RevisitedTruth]:
    images = folder_of_images(home, twin="oxford5k")
    return read_revisited(home / "gnd_roxford5k.pkl", images)


def _inventory(home: Path) -> Inventory:
    return inventory_of_revisited(_read(home))


ROXFORD5K = PublicSet(
    name="roxford5k",
    title="Revisited Oxford",
    terms=TERMS + "annotations by Radenović, Iscen, Tolias, Avrithis and Chum, CVPR 2018",
    homes=("test/roxford5k", "datasets/roxford5k", "roxford5k"),
    mark="gnd_roxford5k.pkl",
    files=(
        ground_truth("http://cmp.felk.cvut.cz/revisitop/data/datasets/roxford5k/gnd_roxford5k.pkl"),
        *photographs(*OXFORD),
    ),
    disk_bytes=2_000_000_000,
    counts={
        "gallery images": 4_993,
        "queries": 70,
        "easy positives": 3_029,
        "hard positives": 2_497,
        "junk": 1_356,
    },
    inventory=_inventory,
    by_hand=None,
)


def load(root: Path) -> Landmarks[RevisitedTruth]:
    """The gallery, the queries with their boxes, and what each is to find.

    Raises `InvalidDataset` when the ground truth is malformed or a photograph is missing.
    """
    lists = _read(ROXFORD5K.home(root))
    require_present([*lists.gallery, *lists.queries], name="roxford5k", root=root)
    return lists
