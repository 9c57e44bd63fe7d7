"""In-Shop Clothes Retrieval, of DeepFashion.  Liu et al., CVPR 2016."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorgnette.errors import InvalidDataset
from training.data.catalogue import Labelled, labelled
from training.data.public.description import (
    Inventory,
    PublicSet,
    RemoteFile,
    Whole,
    below,
    lines_of,
    require_present,
)
from training.data.public.layout import plain_path

_LIST = "Eval/list_eval_partition.txt"
_HEADER = ["image_name", "item_id", "evaluation_status"]
_PARTS = ("train", "query", "gallery")


@dataclass(frozen=True, eq=False)
class QueriesAndGallery:
    """Disjoint; their labels number the same classes, those of both together."""

    queries: Labelled
    gallery: Labelled


def _inventory(home: Path) -> Inventory:
    parts = _listed(home)
    counts = {f"{name} images": len(part) for name, part in parts.items()}
    counts["training classes"] = len({label for _, label in parts["train"]})
    return Inventory(counts, [path for part in parts.values() for path, _ in part])


INSHOP = PublicSet(
    name="inshop",
    title="In-Shop Clothes Retrieval (DeepFashion)",
    terms="for non-commercial research, on an agreement with the authors; Liu, Luo, Qiu, Wang and "
    "Tang, CVPR 2016",
    homes=("In-shop Clothes Retrieval Benchmark", "inshop", "In-shop"),
    mark=_LIST,
    files=(
        RemoteFile("list_eval_partition.txt", None, None, None, put=Whole(_LIST)),
        RemoteFile("img.zip", None, None, None, put=below("Img")),
    ),
    disk_bytes=1_000_000_000,
    counts={
        "train images": 25_882,
        "query images": 14_218,
        "gallery images": 12_612,
        "training classes": 3_997,
    },
    inventory=_inventory,
    by_hand="The authors hand the files out by hand, on an agreement: ask at "
    "http://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html",
)


def load_train(root: Path) -> Labelled:
    """The training items.  Raises `InvalidDataset` for a malformed list or a missing image."""
    listing = labelled(_listed(INSHOP.home(root))["train"])
    require_present(listing.paths, name="inshop", root=root)
    return listing


def load_test(root: Path) -> QueriesAndGallery:
    """The queries and the gallery they are to be found in.  Raises as `load_train`."""
    parts = _listed(INSHOP.home(root))
    both = labelled([*parts["query"], *parts["gallery"]])
    require_present(both.paths, name="inshop", root=root)
    asking = np.arange(len(both.paths)) < len(parts["query"])
    return QueriesAndGallery(_rows(both, asking.nonzero()[0]), _rows(both, (~asking).nonzero()[0]))


def _rows(listing: Labelled, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Labelled:
    paths = tuple(listing.paths[row] for row in rows)
    return Labelled(paths, listing.labels[rows], listing.classes, pairs=None)


def _listed(home: Path) -> dict[str, list[tuple[Path, str]]]:
    """Path and item of every image, by part."""
    path = home / _LIST
    lines = [line.split() for line in lines_of(path) if line.strip()]
    if len(lines) < 2 or lines[1] != _HEADER:
        raise InvalidDataset(
            f"{path}: expected a count and the header {' '.join(_HEADER)} in its first two lines"
        )
    parts: dict[str, list[tuple[Path, str]]] = {part: [] for part in _PARTS}
    for row in lines[2:]:
        if len(row) != 3 or row[2] not in parts:
            raise InvalidDataset(
                f"{path}: expected {' '.join(_HEADER)} in each line, the last one of "
                f"{', '.join(_PARTS)}; found {row}"
            )
        parts[row[2]].append((home / "Img" / plain_path(row[0], where=f"{path}"), row[1]))
    return parts
