"""SfM-120k: landmarks matched by structure from motion.  Radenović et al., TPAMI 2019.

`retrieval-SfM-120k.pkl` is a dict of `train` and `val`: `cids`, names of images; `cluster`, the 3D
model each belongs to; `qidxs`, `pidxs`, places of the queries and of a positive for each.  The
`-whiten.pkl` files hold `cids`, `qidxs`, `pidxs` at the top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidDataset
from training.data.catalogue import Labelled
from training.data.public.description import (
    Inventory,
    PublicSet,
    RemoteFile,
    Whole,
    below,
    require_present,
)
from training.data.public.layout import entry, indices, names, whole_numbers
from training.data.public.pickle_machine import load_pickle

_BASE = "http://cmp.felk.cvut.cz/cnnimageretrieval/data/train"
_LISTS = "retrieval-SfM-120k.pkl"
_WHITENING = ("retrieval-SfM-120k-whiten.pkl", "retrieval-SfM-30k-whiten.pkl")


def _inventory(home: Path) -> Inventory:
    train, val = (_read(home, split) for split in ("train", "val"))
    whitening = [_read_whitening(home, name) for name in _WHITENING]
    every = [listing.paths for listing in (train, val, *whitening)]
    return Inventory(
        {"training images": len(train.paths), "validation images": len(val.paths)},
        list(dict.fromkeys(path for paths in every for path in paths)),
    )


def _list_file(name: str) -> RemoteFile:
    return RemoteFile(name, f"{_BASE}/dbs/{name}", None, None, put=Whole(name))


SFM120K = PublicSet(
    name="sfm120k",
    title="retrieval-SfM-120k, for training, and its whitening sets",
    terms="photographs from Flickr, of their authors, published for research without a licence; "
    "lists by Radenović, Tolias and Chum, TPAMI 2019",
    homes=("train/retrieval-SfM-120k", "retrieval-SfM-120k", "sfm120k"),
    mark=_LISTS,
    files=(
        *(_list_file(name) for name in (_LISTS, *_WHITENING)),
        RemoteFile("ims.tar.gz", f"{_BASE}/ims/ims.tar.gz", None, None, put=below("ims")),
    ),
    disk_bytes=55_000_000_000,
    counts={"training images": 91_642, "validation images": 6_403},
    inventory=_inventory,
    by_hand=None,
)


def load(root: Path, split: Literal["train", "val"]) -> Labelled:
    """The images of a split, their 3D models as labels, and the known pairs.

    Only images of different 3D models are sure to differ, and only the pairs are sure to match.
    Raises `InvalidDataset` when the lists are malformed or an image is missing.
    """
    listing = _read(SFM120K.home(root), split)
    require_present(listing.paths, name="sfm120k", root=root)
    return listing


def load_whitening(root: Path, size: Literal["120k", "30k"]) -> Labelled:
    """The images and pairs the supervised whitening is learned from; otherwise as `load`."""
    listing = _read_whitening(SFM120K.home(root), f"retrieval-SfM-{size}-whiten.pkl")
    require_present(listing.paths, name="sfm120k", root=root)
    return listing


def _read(home: Path, split: str) -> Labelled:
    where = f"{home / _LISTS}: {split}"
    lists = entry(load_pickle(home / _LISTS), split, where=f"{home / _LISTS}")
    cids = names(entry(lists, "cids", where=where), where=f"{where}: cids")
    models = whole_numbers(entry(lists, "cluster", where=where), where=f"{where}: cluster")
    if len(models) != len(cids):
        raise InvalidDataset(
            f"{where}: expected a cluster for each of {len(cids)} images, found {len(models)}"
        )
    found, labels = np.unique(models, return_inverse=True)
    return Labelled(
        tuple(_path(home, cid, where) for cid in cids),
        labels.astype(np.int64),
        tuple(f"model {model}" for model in found),
        _pairs(lists, len(cids), where),
    )


def _read_whitening(home: Path, name: str) -> Labelled:
    beside = home.parent / "retrieval-SfM-30k" / name
    path = beside if beside.is_file() and not (home / name).is_file() else home / name
    where = f"{path}"
    lists = load_pickle(path)
    cids = names(entry(lists, "cids", where=where), where=f"{where}: cids")
    pairs = _pairs(lists, len(cids), where)
    # Which images show the same landmark is not told here: each is a class of its own.
    paths = tuple(_path(home, cid, where) for cid in cids)
    return Labelled(paths, np.arange(len(cids), dtype=np.int64), cids, pairs)


def _pairs(lists: object, count: int, where: str) -> NDArray[np.int64]:
    queries, positives = (
        indices(entry(lists, key, where=where), where=f"{where}: {key}", below=count)
        for key in ("qidxs", "pidxs")
    )
    if len(queries) != len(positives):
        raise InvalidDataset(
            f"{where}: expected a positive for each of {len(queries)} queries, found "
            f"{len(positives)}"
        )
    return np.stack([queries, positives], axis=1)


def _path(home: Path, cid: str, where: str) -> Path:
    if len(cid) < 6 or "/" in cid:
        raise InvalidDataset(f"{where}: expected the name of an image, found {cid!r:.80}")
    return home.joinpath("ims", cid[-2:], cid[-4:-2], cid[-6:-4], cid)
