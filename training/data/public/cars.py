"""Cars196: car models.  Krause et al., 3dRR 2013; split by classes as in metric learning."""

from __future__ import annotations

from pathlib import Path

from lorgnette.errors import InvalidDataset
from training.data.catalogue import Labelled, labelled
from training.data.public.description import (
    Checksum,
    Inventory,
    PublicSet,
    RemoteFile,
    Whole,
    below,
    require_present,
)
from training.data.public.layout import plain_path

_BASE = "http://ai.stanford.edu/~jkrause/car196"
_ANNOTATIONS = "cars_annos.mat"
_MOST_BYTES = 64 * 1024**2
LAST_TRAINING_CLASS = 98
"""The first half of the classes is for training (Oh Song et al., CVPR 2016)."""


def _inventory(home: Path) -> Inventory:
    listed = _listed(home)
    train = sum(number <= LAST_TRAINING_CLASS for _, _, number in listed)
    counts = {
        "classes": len({number for _, _, number in listed}),
        "training images": train,
        "test images": len(listed) - train,
    }
    return Inventory(counts, [path for path, _, _ in listed])


CARS = PublicSet(
    name="cars",
    title="Cars196, car models",
    terms="for non-commercial research and education; Krause, Stark, Deng and Fei-Fei, 3dRR 2013",
    homes=("cars196", "car196", "CARS196", "cars"),
    mark=_ANNOTATIONS,
    files=(
        # The MD5 sums are those that several public loaders agree on.
        RemoteFile(
            _ANNOTATIONS,
            f"{_BASE}/{_ANNOTATIONS}",
            size_bytes=None,
            checksum=Checksum("md5", "b407c6086d669747186bd1d764ff9dbc"),
            put=Whole(_ANNOTATIONS),
        ),
        RemoteFile(
            "car_ims.tgz",
            f"{_BASE}/car_ims.tgz",
            size_bytes=None,
            checksum=Checksum("md5", "d5c8f0aa497503f355e17dc7886c3f14"),
            put=below(""),
        ),
    ),
    disk_bytes=2_000_000_000,
    counts={"classes": 196, "training images": 8_054, "test images": 8_131},
    inventory=_inventory,
    by_hand=None,
)


def load_train(root: Path) -> Labelled:
    """Classes 1 to 98.  Raises `InvalidDataset` for malformed annotations or a missing image."""
    return _load(root, is_training=True)


def load_test(root: Path) -> Labelled:
    """Classes 99 to 196; each image is a query to all others.  Raises as `load_train`."""
    return _load(root, is_training=False)


def _load(root: Path, *, is_training: bool) -> Labelled:
    listed = _listed(CARS.home(root))
    listing = labelled(
        [
            (path, name)
            for path, name, number in listed
            if (number <= LAST_TRAINING_CLASS) == is_training
        ]
    )
    require_present(listing.paths, name="cars", root=root)
    return listing


def _listed(home: Path) -> list[tuple[Path, str, int]]:
    """Path, class and its number, from 1, of every image."""
    path = home / _ANNOTATIONS
    where = f"{path}"
    names, annotations = _annotations(path)
    found = []
    for image, number in annotations:
        if not 1 <= number <= len(names):
            raise InvalidDataset(f"{where}: expected a class in 1..{len(names)}, found {number}")
        # The number keeps two classes of the same name apart.
        label = f"{number:03d} {names[number - 1]}"
        found.append((home / plain_path(image, where=where), label, number))
    return found


def _annotations(path: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """The names of the classes, and each image's path with the number of its class."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidDataset(f"{path} is too large to be {_ANNOTATIONS}: fetch it again")
        content = loadmat(path, variable_names=["annotations", "class_names"], simplify_cells=True)
        names = [str(name) for name in content["class_names"]]
        records = [
            (str(record["relative_im_path"]), int(record["class"]))
            for record in content["annotations"]
        ]
    except OSError as error:
        raise InvalidDataset(f"cannot read {path}: {error}") from error
    # Damage shows as any of these; NotImplementedError: MATLAB 7.3 writes another format.
    except (MatReadError, ValueError, LookupError, TypeError, NotImplementedError) as error:
        raise InvalidDataset(
            f"{path} is not the annotation file of Cars196 ({error!r:.120}): fetch it again"
        ) from error
    return names, records
