"""Google Landmarks v2: the cleaned training set, and the retrieval benchmark.

Weyand et al., CVPR 2020; cleaned by Yokoo et al., CVPRW 2020.  An image with the id `0123…f` lies
at `<split>/0/1/2/0123…f.jpg`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidDataset
from training.data.catalogue import Labelled, labelled
from training.data.public.description import (
    Inventory,
    Members,
    Placing,
    PublicSet,
    RemoteFile,
    Whole,
    below,
    lines_of,
    require_present,
)

_BASE = "https://s3.amazonaws.com/google-landmark"
_CLEAN, _INDEX = "metadata/train_clean.csv", "metadata/index.csv"
_SOLUTION = "ground_truth/retrieval_solution_v2.1.csv"
_ID = re.compile("[0-9a-f]{16}")
_HOMES = ("gldv2", "google-landmark", "GLDv2")

Usage = Literal["Public", "Private"]


@dataclass(frozen=True, eq=False)
class LandmarkRetrieval:
    """G gallery images and Q queries; answers[q]: int64 rows of the gallery that show it.

    usage: whether a query counts in the public or in the private figure.
    """

    gallery: tuple[Path, ...]
    queries: tuple[Path, ...]
    usage: tuple[Usage, ...]
    answers: tuple[NDArray[np.int64], ...]


def _clean_inventory(home: Path) -> Inventory:
    listed = list(_clean(home))
    images = [_path(home, "train", name) for name, _ in listed]
    landmarks = len({label for _, label in listed})
    return Inventory({"images": len(images), "landmarks": landmarks}, images)


def _retrieval_inventory(home: Path) -> Inventory:
    lists = _retrieval(home)
    # The queries are not counted: how many of the two figures there are, sources disagree.
    return Inventory({"gallery images": len(lists.gallery)}, [*lists.gallery, *lists.queries])


def _only_clean(home: Path) -> Placing:
    """Of the four million training images only those that are used."""
    wanted = {name for name, _ in _clean(home)}

    def place(member: PurePosixPath) -> PurePosixPath | None:
        return PurePosixPath("train", member) if member.stem in wanted else None

    return place


def _list_file(path: str) -> RemoteFile:
    return RemoteFile(path, f"{_BASE}/{path}", None, None, put=Whole(path))


def _archives(split: str, count: int, put: Members) -> Iterator[RemoteFile]:
    for number in range(count):
        name = f"{split}/images_{number:03d}.tar"
        yield RemoteFile(name, f"{_BASE}/{name}", None, None, put=put)


GLDV2_CLEAN = PublicSet(
    name="gldv2-clean",
    title="Google Landmarks v2, cleaned, for training (downloads 500 GB, keeps 200)",
    terms="photographs from Wikimedia Commons, each under its author's CC BY licence "
    "(train_attribution.csv of the publisher); annotations by Google, CC BY 4.0",
    homes=_HOMES,
    mark=_CLEAN,
    files=(_list_file(_CLEAN), *_archives("train", 500, Members(_only_clean))),
    disk_bytes=200_000_000_000,
    counts={"images": 1_580_470, "landmarks": 81_313},
    inventory=_clean_inventory,
    by_hand=None,
)

GLDV2 = PublicSet(
    name="gldv2",
    title="Google Landmarks v2, the retrieval benchmark",
    terms="photographs under CC0 or in the public domain; annotations by Google, CC BY 4.0",
    homes=_HOMES,
    mark=_SOLUTION,
    files=(
        _list_file(_INDEX),
        _list_file(_SOLUTION),
        *_archives("index", 100, below("index")),
        *_archives("test", 20, below("test")),
    ),
    disk_bytes=95_000_000_000,
    counts={"gallery images": 761_757},
    inventory=_retrieval_inventory,
    by_hand=None,
)


def load_clean(root: Path) -> Labelled:
    """The cleaned training set.  Raises `InvalidDataset` for a malformed list or a missing image.

    It shows landmarks of Oxford and Paris: figures there are inflated by it.
    """
    home = GLDV2_CLEAN.home(root)
    listing = labelled([(_path(home, "train", name), label) for name, label in _clean(home)])
    require_present(listing.paths, name="gldv2-clean", root=root)
    return listing


def load(root: Path) -> LandmarkRetrieval:
    """The retrieval benchmark's queries that count, and the whole gallery.  Raises as above."""
    lists = _retrieval(GLDV2.home(root))
    require_present([*lists.gallery, *lists.queries], name="gldv2", root=root)
    return lists


def _clean(home: Path) -> Iterator[tuple[str, str]]:
    """Id and landmark of each image.  Not `csv`: some landmarks exceed its longest field."""
    path = home / _CLEAN
    for line in _rows(path, "landmark_id,images"):
        label, _, images = line.partition(",")
        for name in images.split():
            yield _checked(name, path), label


def _retrieval(home: Path) -> LandmarkRetrieval:
    gallery = [line.partition(",")[0] for line in _rows(home / _INDEX, "id")]
    row_of = {_checked(name, home / _INDEX): row for row, name in enumerate(gallery)}
    usages: dict[str, Usage] = {str(usage): usage for usage in get_args(Usage)}
    queries, usage, answers = [], [], []
    for line in _rows(home / _SOLUTION, "id,images,Usage"):
        name, _, rest = line.partition(",")
        images, _, used = rest.rpartition(",")
        if used == "Ignored":
            continue
        if used not in usages or not set(images.split()) <= row_of.keys():
            raise InvalidDataset(
                f"{home / _SOLUTION}: query {name:.16} is {used!r:.20} or has an answer that is "
                f"not in {_INDEX}: fetch both again"
            )
        queries.append(_path(home, "test", _checked(name, home / _SOLUTION)))
        usage.append(usages[used])
        answers.append(np.array([row_of[image] for image in images.split()], dtype=np.int64))
    paths = tuple(_path(home, "index", name) for name in gallery)
    return LandmarkRetrieval(paths, tuple(queries), tuple(usage), tuple(answers))


def _rows(path: Path, header: str) -> list[str]:
    first, *rows = lines_of(path) or [""]
    if first.split(",")[: header.count(",") + 1] != header.split(","):
        raise InvalidDataset(f"{path}: expected the header {header}, found {first!r:.80}")
    return [row for row in rows if row]


def _checked(name: str, path: Path) -> str:
    if not _ID.fullmatch(name):
        raise InvalidDataset(f"{path}: expected an id of 16 hexadecimal digits, found {name!r:.40}")
    return name


def _path(home: Path, split: str, name: str) -> Path:
    return home.joinpath(split, *name[:3], f"{name}.jpg")
