"""The photographs of each class, and what a sampler needs there to be of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from training.data.catalogue import Labelled


def members_of(listing: Labelled) -> list[NDArray[np.int64]]:
    """For each class the places of its photographs, int64, growing."""
    order = np.argsort(listing.labels, kind="stable").astype(np.int64)
    sizes = np.bincount(listing.labels, minlength=len(listing.classes))
    return np.split(order, np.cumsum(sizes)[:-1])


def require_classes(listing: Labelled, *, least: int, reason: str) -> None:
    """Raise `InvalidConfiguration` when there are fewer classes than `least`."""
    found = len(listing.classes)
    if found < least:
        raise InvalidConfiguration(
            f"expected {least} classes or more, because {reason}; found {found}, such as "
            f"{listing.classes[0]}: give more classes, or look at `labels` of the sources"
        )
