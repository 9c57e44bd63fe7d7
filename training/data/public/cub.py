"""CUB-200-2011: birds.  Wah et al., 2011; split by classes as in metric learning."""

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

_URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
_SHA256 = "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081"
LAST_TRAINING_CLASS = 100
"""The first half of the classes is for training (Oh Song et al., CVPR 2016)."""


def _inventory(home: Path) -> Inventory:
    listed = _listed(home)
    train = _part(listed, is_training=True)
    test = _part(listed, is_training=False)
    counts = {
        "classes": len({name for _, name, _ in listed}),
        "training images": len(train),
        "test images": len(test),
    }
    return Inventory(counts, [path for path, _, _ in listed])


CUB = PublicSet(
    name="cub",
    title="CUB-200-2011, birds",
    terms="for non-commercial research and education; photographs of their authors; "
    "Wah, Branson, Welinder, Perona and Belongie, Caltech 2011",
    homes=("CUB_200_2011", "cub"),
    mark="images.txt",
    files=(
        RemoteFile(
            "CUB_200_2011.tgz",
            _URL,
            size_bytes=1_150_585_339,
            checksum=Checksum("sha256", _SHA256),
            put=without_top_folder(),
        ),
    ),
    disk_bytes=1_250_000_000,
    counts={"classes": 200, "training images": 5_864, "test images": 5_924},
    inventory=_inventory,
    by_hand=None,
)


def load_train(root: Path) -> Labelled:
    """Classes 1 to 100.  Raises `InvalidDataset` for malformed lists or a missing image."""
    return _load(root, is_training=True)


def load_test(root: Path) -> Labelled:
    """Classes 101 to 200; each image is a query to all others.  Raises as `load_train`."""
    return _load(root, is_training=False)


def _load(root: Path, *, is_training: bool) -> Labelled:
    listing = labelled(_part(_listed(CUB.home(root)), is_training=is_training))
    require_present(listing.paths, name="cub", root=root)
    return listing


def _part(listed: list[tuple[Path, str, int]], *, is_training: bool) -> list[tuple[Path, str]]:
    return [
        (path, name)
        for path, name, number in listed
        if (number <= LAST_TRAINING_CLASS) == is_training
    ]


def _listed(home: Path) -> list[tuple[Path, str, int]]:
    """Path, class and its number of every image, from `images.txt` and its sisters."""
    images = _numbered(home / "images.txt")
    classes = _numbered(home / "classes.txt")
    of_image = _numbered(home / "image_class_labels.txt")
    found = []
    for number, name in images.items():
        label = of_image.get(number, "")
        if label not in classes:
            raise InvalidDataset(
                f"{home}: image {number} has no class in image_class_labels.txt and classes.txt: "
                "unpack the archive again"
            )
        path = plain_path(name, where=f"{home / 'images.txt'}")
        found.append((home / "images" / path, classes[label], int(label)))
    return found


def _numbered(path: Path) -> dict[str, str]:
    """The lines `number text` of a list."""
    pairs = [line.split(" ", 1) for line in lines_of(path) if line.strip()]
    wrong = [pair for pair in pairs if len(pair) != 2 or not pair[0].isdecimal()]
    if wrong:
        raise InvalidDataset(f"{path}: expected lines of a number and a name, found {wrong[0]}")
    return {number: text.strip() for number, text in pairs}
