"""All photographs of a training, found before anything slow begins.

A list that is missing is said in the first second: not after weights were fetched, not after a
teacher's rows were computed, and not when, at the end, a whitening is to be learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.closing import known_pairs
from training.config import ClosingWhitening, LwWhitening, TrainConfig
from training.data.catalogue import Photographs, find_photographs, trusted
from training.data.loader import Views
from training.data.public_source import listing_of
from training.data.public_spec import PublicSource
from training.data.specs import Source, uncropped
from training.validation import HeldOut, held_out


@dataclass(frozen=True)
class Material:
    """views: learned from.  whitening: what a closing whitening is learned from, or None.

    held_out: what the model is judged on, or None.
    """

    views: Views
    whitening: Views | None
    held_out: HeldOut | None


def material_of(config: TrainConfig, root: Path) -> Material:
    """Find what the configuration names.

    root: the folder the sources are relative to.  Raises `InvalidConfiguration` and
    `InvalidDataset` for whatever is missing, malformed or not enough.
    """
    held = None if config.validation is None else held_out(config.validation.data, root)
    views = Views(_photographs(root, config.data), config.crops)
    whitening = _whitening_views(config.whitening, views, root)
    return Material(views, whitening, held)


def _photographs(root: Path, data: PublicSource | tuple[Source, ...]) -> Photographs:
    if isinstance(data, PublicSource):
        return trusted(listing_of(data, root))
    return find_photographs(root, data)


def _whitening_views(spec: ClosingWhitening | None, views: Views, root: Path) -> Views | None:
    if not isinstance(spec, LwWhitening):
        return None if spec is None else views
    if spec.data is not None:
        views = Views(_photographs(root, spec.data), uncropped())
    known_pairs(views.photographs.listing)
    return views
