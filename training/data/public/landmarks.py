"""The ground truth files of Oxford and Paris, old and revisited, as `gnd_<name>.pkl` holds them.

A dict: `imlist`, the gallery; `qimlist`, the queries (names without .jpg); `gnd`, for each query
`bbx` and places in `imlist`: `ok` and `junk` in the old files, `easy`, `hard` and `junk` in the
revisited ones.
Philbin et al., CVPR 2007 and 2008; Radenović et al., CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidDataset
from training.data.public.description import Inventory, RemoteFile, Whole, flattened
from training.data.public.layout import Box, box, entry, indices, items, names
from training.data.public.pickle_machine import load_pickle
from training.evaluation.landmarks import Marks, RevisitedTruth

Truth = TypeVar("Truth")

OXFORD = ("https://www.robots.ox.ac.uk/~vgg/data/oxbuildings/oxbuild_images-v1.tgz",)
PARIS = (
    "https://www.robots.ox.ac.uk/~vgg/data/parisbuildings/paris_1-v1.tgz",
    "https://www.robots.ox.ac.uk/~vgg/data/parisbuildings/paris_2-v1.tgz",
)
TERMS = "photographs from Flickr, of their authors, published for research without a licence; "


@dataclass(frozen=True, eq=False)
class Landmarks(Generic[Truth]):
    """G gallery images and Q queries; boxes[q] is the part of query q that is asked with.

    truths: `[Q]`, rows of the gallery.  Whoever does not crop to the boxes measures another,
    easier benchmark.
    """

    gallery: tuple[Path, ...]
    queries: tuple[Path, ...]
    boxes: tuple[Box, ...]
    truths: tuple[Truth, ...]


def read_revisited(truth: Path, images: Path) -> Landmarks[RevisitedTruth]:
    """The revisited protocol's lists; images: the folder of the .jpg files, not looked into.

    Raises `InvalidDataset`, or `UnsafeFile` when the pickle is no plain data.
    """
    return _read(truth, images, _revisited)


def read_old(truth: Path, images: Path) -> Landmarks[Marks]:
    """The lists of the protocol of 2007; otherwise as `read_revisited`."""
    return _read(truth, images, _old)


def _read(
    path: Path, images: Path, truth_of: Callable[[object, str, int], Truth]
) -> Landmarks[Truth]:
    content = load_pickle(path)
    gallery, queries = (_names(content, key, where=f"{path}") for key in ("imlist", "qimlist"))
    records = items(entry(content, "gnd", where=f"{path}"), where=f"{path}: gnd")
    if not gallery or not queries:
        raise InvalidDataset(f"{path}: imlist or qimlist is empty: fetch the ground truth again")
    if len(records) != len(queries):
        raise InvalidDataset(
            f"{path}: expected a record in gnd for each of {len(queries)} queries, found "
            f"{len(records)}"
        )
    places = [f"{path}: gnd[{number}]" for number in range(len(records))]
    both = list(zip(records, places, strict=True))
    return Landmarks(
        gallery=tuple(images / f"{name}.jpg" for name in gallery),
        queries=tuple(images / f"{name}.jpg" for name in queries),
        boxes=tuple(box(entry(r, "bbx", where=at), where=f"{at}: bbx") for r, at in both),
        truths=tuple(truth_of(record, at, len(gallery)) for record, at in both),
    )


def _names(content: object, key: str, *, where: str) -> tuple[str, ...]:
    found = names(entry(content, key, where=where), where=f"{where}: {key}")
    if len(set(found)) != len(found):
        raise InvalidDataset(f"{where}: {key} lists {len(found) - len(set(found))} names twice")
    return found


def _revisited(record: object, where: str, size: int) -> RevisitedTruth:
    easy, hard, junk = _places(record, ("easy", "hard", "junk"), where, size)
    every = np.concatenate([easy, hard, junk])
    if len(np.unique(every)) != len(every):
        raise InvalidDataset(f"{where}: an image is listed twice among easy, hard and junk")
    return RevisitedTruth(easy, hard, junk)


def _old(record: object, where: str, size: int) -> Marks:
    # Unlike those of the revisited files, we have not seen whether these two are always disjoint.
    positives, junk = _places(record, ("ok", "junk"), where, size)
    return Marks(positives, junk)


def _places(
    record: object, keys: tuple[str, ...], where: str, size: int
) -> list[NDArray[np.int64]]:
    return [
        indices(entry(record, key, where=where), where=f"{where}: {key}", below=size)
        for key in keys
    ]


def folder_of_images(home: Path, twin: str) -> Path:
    """The `jpg` folder of a set, or that of the set beside it that has the same photographs."""
    for folder in (home / "jpg", home.parent / twin / "jpg"):
        if folder.is_dir():
            return folder
    return home / "jpg"


def inventory_of_revisited(lists: Landmarks[RevisitedTruth]) -> Inventory:
    """The counts Radenović et al. publish, and all photographs."""
    counts = {
        "gallery images": len(lists.gallery),
        "queries": len(lists.queries),
        "easy positives": sum(len(truth.easy) for truth in lists.truths),
        "hard positives": sum(len(truth.hard) for truth in lists.truths),
        "junk": sum(len(truth.junk) for truth in lists.truths),
    }
    return Inventory(counts, [*lists.gallery, *lists.queries])


def inventory_of_old(lists: Landmarks[Marks]) -> Inventory:
    """How many there are, and all photographs; the queries are in the gallery too."""
    counts = {"gallery images": len(lists.gallery), "queries": len(lists.queries)}
    return Inventory(counts, [*lists.gallery, *lists.queries])


def ground_truth(url: str) -> RemoteFile:
    """A `gnd_<name>.pkl`.  No checksum is published: its content is what is verified."""
    name = url.rpartition("/")[2]
    return RemoteFile(name, url, size_bytes=None, checksum=None, put=Whole(name))


def photographs(*urls: str) -> tuple[RemoteFile, ...]:
    """Archives of photographs that all go to `jpg`.  Faces are blurred in them since June 2022."""
    return tuple(
        RemoteFile(
            url.rpartition("/")[2], url, size_bytes=None, checksum=None, put=flattened("jpg")
        )
        for url in urls
    )
