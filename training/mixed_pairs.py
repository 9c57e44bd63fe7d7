"""Metrix as a part of a term: the similarities of mixed examples, and what is wanted of them.

Which examples are mixed follows from the loss: its columns, or, against proxies, which are no
images, the batch's own anchors: these are the others of ProxyAnchor, and the anchors of
ProxyNCA++.  Mixing the teacher's cached columns is an extension of ours: Venkataramanan et al. mix
the student's.
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
    pairs_of_mixed_anchors,
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
        s, mix = _mixed_examples(seen, columns, pairs, self.spec)
        return s, mixed_pairs(pairs.T, mix).T


@dataclass(frozen=True)
class MixedExamples:
    """Each mixed anchor against every proxy, with the soft labels of its two halves.

    With `MixedAnchors` a softmax over proxies (ProxyNCA++) would see one proxy a row, the positive
    one: a constant, without gradient.  That the paper mixes so is not verified.
    """

    spec: MixSpec

    @property
    def weight(self) -> float:
        """Of the mixed loss beside the clean one."""
        return self.spec.weight

    def __call__(self, seen: Embedded, columns: Columns, pairs: Pairs) -> tuple[Tensor, Pairs]:
        """Returns S `[V, C]` and its pairs."""
        s, mix = _mixed_examples(seen, columns, pairs, self.spec)
        return s, pairs_of_mixed_anchors(pairs, mix)


def _mixed_examples(
    seen: Embedded, columns: Columns, pairs: Pairs, spec: MixSpec
) -> tuple[Tensor, Mix]:
    """S `[V, C]` of mixed anchors: for each proxy of the batch, one of its own with another's."""
    nobody = torch.zeros_like(pairs.mask.T)
    mix = draw_mix(pairs.T, spec, own=nobody, generator=seen.random)
    images = seen.batch.images[seen.batch.anchors]
    v = _mixed_rows(seen, images, seen.anchors, mix, spec)
    return similarities(v, columns.x), mix


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
