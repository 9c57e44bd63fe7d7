"""Among whom a relational loss compares: all views of the batch, or those of each label apart."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.pairs import Identity

Among = Callable[[Identity, Identity], list[tuple[Tensor, Tensor]]]
"""Of the anchors `[A]` and the columns `[X]`: groups, each as bool `[A]` and bool `[X]`."""


def whole_batch(anchors: Identity, others: Identity) -> list[tuple[Tensor, Tensor]]:
    """One group of all anchors and all columns."""
    return [(_all(anchors), _all(others))]


def each_label(anchors: Identity, others: Identity) -> list[tuple[Tensor, Tensor]]:
    """A group per label of the anchors, of increasing label.

    Where a photograph is its own label, the relations are among the augmentations of one image, as
    RAML has them (Suma and Tolias, WACV 2023).
    """
    return [
        (anchors.labels == label, others.labels == label) for label in torch.unique(anchors.labels)
    ]


def _all(who: Identity) -> Tensor:
    return torch.ones_like(who.ids, dtype=torch.bool)
