"""Revisited Paris.  Radenović et al., CVPR 2018."""

from __future__ import annotations

from pathlib import Path

from training.data.public.description import Inventory, PublicSet, require_present
from training.data.public.landmarks import (
    PARIS,
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
    images = folder_of_images(home, twin="paris6k")
    return read_revisited(home / "gnd_rparis6k.pkl", images)


def _inventory(home: Path) -> Inventory:
    return inventory_of_revisited(_read(home))


RPARIS6K = PublicSet(
    name="rparis6k",
    title="Revisited Paris",
    terms=TERMS + "annotations by Radenović, Iscen, Tolias, Avrithis and Chum, CVPR 2018",
    homes=("test/rparis6k", "datasets/rparis6k", "rparis6k"),
    mark="gnd_rparis6k.pkl",
    files=(
        ground_truth("http://cmp.felk.cvut.cz/revisitop/data/datasets/rparis6k/gnd_rparis6k.pkl"),
        *photographs(*PARIS),
    ),
    disk_bytes=2_600_000_000,
    counts={
        "gallery images": 6_322,
        "queries": 70,
        "easy positives": 6_874,
        "hard positives": 10_350,
        "junk": 7_153,
    },
    inventory=_inventory,
    by_hand=None,
)


def load(root: Path) -> Landmarks[RevisitedTruth]:
    """The gallery, the queries with their boxes, and what each is to find.

    Raises `InvalidDataset` when the ground truth is malformed or a photograph is missing.
    """
    lists = _read(RPARIS6K.home(root))
    require_present([*lists.gallery, *lists.queries], name="rparis6k", root=root)
    return lists
