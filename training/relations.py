"""The other kind of term: the student's similarities are to follow the teacher's.

anchors × columns (student) → S ┐
                                ├ groups → relational loss
anchors × columns (teacher) → T ┘
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from training.embedded import Embedded
from training.losses.relational import RelationalLoss
from training.others import Others, Teacher, similarities
from training.pairs import Identity, same_view

Among = Callable[[Identity, Identity], list[tuple[Tensor, Tensor]]]
"""Of the anchors `[A]` and the columns `[X]`: groups, each as bool `[A]` and bool `[X]`."""


@dataclass(frozen=True)
class RelationalTerm:
    """A relational loss: the student's similarities against the teacher's of the same pairs.

    others: what the student's anchors are compared with.  taught: what the teacher's are.
    among: whose pairs are compared with each other.
    """

    weight: float
    others: Others
    taught: Others
    teacher: Teacher
    among: Among
    loss: RelationalLoss

    def __call__(self, seen: Embedded) -> Tensor:
        """Returns a scalar, the mean over groups.  The sampler's mask does not enter.

        Raises `InvalidConfiguration` for a batch where every view is related to itself alone.
        """
        columns = self.others(seen)
        s = similarities(seen.anchors, columns.x)
        t = similarities(self.teacher.rows(seen.who, like=seen.rows), self.taught(seen).x)
        own = same_view(seen.who, columns.who)
        groups = self.among(seen.who, columns.who)
        if all(bool(own[a][:, x].all()) for a, x in groups):
            raise InvalidConfiguration(
                f"a batch of {len(seen.anchors)} views has no two to relate (among: label asks for "
                "several views of a label): give larger batches, or sample by class"
            )
        losses = [self.loss(s[a][..., x], t[a][..., x], own[a][:, x]) for a, x in groups]
        return torch.stack(losses).mean()


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
