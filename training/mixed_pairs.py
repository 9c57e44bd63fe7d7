"""Metrix as a part of a term: the similarities of mixed examples, and what is wanted of them.

Which examples are mixed follows from who the anchors of the loss are: the columns, or, against
proxies, which are the anchors there (ProxyAnchor) and no images, the batch's own anchors.  Mixing
the teacher's cached columns is an extension of ours: Venkataramanan et al. mix the student's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from training.distributed import processes
from training.embedded import Embedded
from training.mixing import (
    Mix,
    draw_mix,
    mixed_embeddings,
    mixed_features,
    mixed_images,
    mixed_pairs,
)
from training.mixing_spec import MixSpec
from training.others import Columns, similarities
from training.pairs import Pairs, same_view


class Mixing(Protocol):
    """S and pairs of the mixed examples, of as many rows or columns as were drawn, also none."""

    @property
    def weight(self) -> float:  # noqa: D102  the class says it
        ...

    def __call__(  # noqa: D102  the class says it
        self, seen: Embedded, columns: Columns, pairs: Pairs
    ) -> tuple[Tensor, Pairs]: ...


@dataclass(frozen=True)
class MixedColumns:
    """Each anchor against mixed columns: `x' = unit(Mx)`, `Y' = Y Mᵀ`."""

    spec: MixSpec

    @property
    def weight(self) -> float:
        """Of the mixed loss beside the clean one."""
        return self.spec.weight

    def __call__(self, seen: Embedded, columns: Columns, pairs: Pairs) -> tuple[Tensor, Pairs]:
        """Returns S `[A, V]` and its pairs."""
        own = same_view(seen.who, columns.who)
        mix = draw_mix(pairs, self.spec, own=own, generator=seen.random)
        v = _mixed_rows(seen, seen.batch.images, columns.x, mix, self.spec)
        return similarities(seen.anchors, v), mixed_pairs(pairs, mix)


@dataclass(frozen=True)
class MixedAnchors:
    """Each proxy against mixed anchors: the same with S and Y transposed."""

    spec: MixSpec

    @property
    def weight(self) -> float:
        """Of the mixed loss beside the clean one."""
        return self.spec.weight

    def __call__(self, seen: Embedded, columns: Columns, pairs: Pairs) -> tuple[Tensor, Pairs]:
        """Returns S `[V, C]` and its pairs."""
        nobody = torch.zeros_like(pairs.mask.T)
        mix = draw_mix(pairs.T, self.spec, own=nobody, generator=seen.random)
        images = seen.batch.images[seen.batch.anchors]
        v = _mixed_rows(seen, images, seen.anchors, mix, self.spec)
        return similarities(v, columns.x), mixed_pairs(pairs.T, mix).T


def _mixed_rows(seen: Embedded, images: Tensor, x: Tensor, mix: Mix, spec: MixSpec) -> Tensor:
    """Unit rows `[V, D]`.  x: `[X, D]`, rows of those images.

    Raises `InvalidConfiguration` when images are to be mixed that other processes hold.
    """
    if spec.where == "embedding" or len(mix.first) == 0:
        return mixed_embeddings(x, mix)
    if processes() > 1:
        raise InvalidConfiguration(
            f"mixing.where: {spec.where!r} mixes images, and each of {processes()} processes has "
            "its own: 'embedding' mixes gathered rows, or train in one process"
        )
    if spec.layer is None:
        return mixed_images(seen.student, images, mix).float()
    return mixed_features(seen.student, images, mix, layer=spec.layer).float()
