"""Stanford Online Products.  Oh Song et al., CVPR 2016."""

from __future__ import annotations

from pathlib import Path

from lorgnette.errors import InvalidDataset
from training.data.catalogue import Labelled, labelled
from training.data.public.description import (
    Checksum,
    Inventory,
    PublicSet,
    RemoteFile,
    lines_of,
    require_present,
    without_top_folder,
)
from training.data.public.layout import plain_path

_HEADER = ["image_id", "class_id", "super_class_id", "path"]
_TRAIN, _TEST = "Ebay_train.txt", "Ebay_test.txt"


def _inventory(home: Path) -> Inventory:
    train, test = _listed(home / _TRAIN), _listed(home / _TEST)
    counts = {
        "training images": len(train),
        "training classes": len({name for _, name in train}),
        "test images": len(test),
        "test classes": len({name for _, name in test}),
    }
    return Inventory(counts, [path for path, _ in (*train, *test)])


SOP = PublicSet(
    name="sop",
    title="Stanford Online Products",
    terms="photographs from eBay, of their authors, published for research without a licence; "
    "Oh Song, Xiang, Jegelka and Savarese, CVPR 2016",
    homes=("Stanford_Online_Products", "sop", "SOP"),
    mark=_TRAIN,
    files=(
        RemoteFile(
            "Stanford_Online_Products.zip",
            # The same server has been reported to answer http://ftp.cs.stanford.edu/cs/cvgl/… too.
            "ftp://cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",
            size_bytes=None,
            # The MD5 sum that several public loaders agree on.
            checksum=Checksum("md5", "7f73d41a2f44250d4779881525aea32e"),
            put=without_top_folder(),
        ),
    ),
    disk_bytes=3_200_000_000,
    counts={
        "training images": 59_551,
        "training classes": 11_318,
        "test images": 60_502,
        "test classes": 11_316,
    },
    inventory=_inventory,
    by_hand=None,
)


def load_train(root: Path) -> Labelled:
    """The training products.  Raises `InvalidDataset` for a malformed list or a missing image."""
    return _load(root, _TRAIN)


def load_test(root: Path) -> Labelled:
    """The test products; each image is a query to all others.  Raises as `load_train`."""
    return _load(root, _TEST)


def _load(root: Path, name: str) -> Labelled:
    listing = labelled(_listed(SOP.home(root) / name))
    require_present(listing.paths, name="sop", root=root)
    return listing


def _listed(path: Path) -> list[tuple[Path, str]]:
    """Path and class of every image in a list."""
    header, *rows = [line.split() for line in lines_of(path) if line.strip()] or [[]]
    if header != _HEADER:
        raise InvalidDataset(f"{path}: expected the header {' '.join(_HEADER)}, found {header}")
    wrong = [row for row in rows if len(row) != 4 or not row[1].isdecimal()]
    if wrong:
        raise InvalidDataset(f"{path}: expected {' '.join(_HEADER)} in each line, found {wrong[0]}")
    return [(path.parent / plain_path(row[3], where=f"{path}"), row[1]) for row in rows]
