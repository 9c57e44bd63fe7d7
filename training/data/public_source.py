"""From the name of a public set in a configuration to its photographs and terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from training.data.catalogue import Labelled
from training.data.public import sfm120k
from training.data.public.registry import SETS, TRAINING
from training.data.public_spec import PublicPart, PublicSource

_MORE: Mapping[PublicPart, Callable[[Path], Labelled]] = {
    "sfm120k-val": partial(sfm120k.load, split="val"),
    "sfm120k-whiten": partial(sfm120k.load_whitening, size="120k"),
}


def listing_of(source: PublicSource, root: Path) -> Labelled:
    """Its photographs, labels and known pairs.

    Raises `InvalidDataset` when it is not below `root`, incomplete or malformed.
    """
    load = _MORE.get(source.public) or TRAINING[source.public]
    return load(root)


def terms_of(source: PublicSource) -> str:
    """Licence of the photographs, and whom to credit."""
    return SETS[source.public.removesuffix("-val").removesuffix("-whiten")].terms
