"""Every public data set, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from lorgnette.errors import InvalidDataset
from training.data.catalogue import Labelled
from training.data.public import cars, cub, folder, gldv2, inshop, sfm120k, sop
from training.data.public.description import PublicSet
from training.data.public.oxford5k import OXFORD5K
from training.data.public.paris6k import PARIS6K
from training.data.public.revisitop1m import REVISITOP1M
from training.data.public.roxford5k import ROXFORD5K
from training.data.public.rparis6k import RPARIS6K

SETS: Mapping[str, PublicSet] = {
    public.name: public
    for public in (
        ROXFORD5K,
        RPARIS6K,
        OXFORD5K,
        PARIS6K,
        REVISITOP1M,
        sfm120k.SFM120K,
        gldv2.GLDV2_CLEAN,
        gldv2.GLDV2,
        cub.CUB,
        cars.CARS,
        sop.SOP,
        inshop.INSHOP,
        folder.FOLDER,
    )
}

TRAINING: Mapping[str, Callable[[Path], Labelled]] = {
    "sfm120k": partial(sfm120k.load, split="train"),
    "gldv2-clean": gldv2.load_clean,
    "cub": cub.load_train,
    "cars": cars.load_train,
    "sop": sop.load_train,
    "inshop": inshop.load_train,
    "folder": folder.load,
}
"""The training photographs of those that have some, from the root they lie below."""


def find(name: str) -> PublicSet:
    """The set of that name. Raises `InvalidDataset` naming those there are."""
    if name not in SETS:
        raise InvalidDataset(f"no data set is called {name!r}: expected one of {', '.join(SETS)}")
    return SETS[name]
