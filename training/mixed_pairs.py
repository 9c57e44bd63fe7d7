"""Metrix as a part of a term: the similarities of mixed examples, and what is wanted of them.

Which examples are mixed follows from the loss: its columns, or, against proxies, which are no
images, the batch's own anchors: these are the others of ProxyAnchor, and the anchors of
ProxyNCA++.  Mixing the teacher's cached columns is an extension of ours: Venkataramanan et al. mix
the student's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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

Mixed = Callable[[Embedded, Columns, Pairs, MixSpec], tuple[Tensor, Pairs]]
"""S and pairs of mixed examples, of as many rows or columns as were drawn, also none."""


@dataclass(frozen=True)
class Mixing:
    """Draws mixed examples as `spec` says and compares them: `mixed` says which they are."""

    spec: MixSpec
    mixed: Mixed

    @property
    def weight(self) -> float:
        """Of the mixed loss beside the clean one."""
        return self.spec.weight

    def __call__(self, seen: Embedded, columns: Columns, pairs: Pairs) -> tuple[Tensor, Pairs]:
        """The similarities of the mixed examples, and what is wanted of them."""
        return self.mixed(seen, columns, pairs, self.spec)


def mixed_columns(
    seen: Embedded, columns: Columns, pairs: Pairs, spec: MixSpec
) -> tuple[Tensor, Pairs]:
    """Each anchor against mixed columns, `x' = unit(Mx)`, `Y' = Y Mᵀ`: S and pairs `[A, V]`."""
    own = same_view(seen.who, columns.who)
    mix = draw_mix(pairs, spec, own=own, generator=seen.random)
    v = _mixed_rows(seen, seen.batch.images, columns.x, mix, spec)
    return similarities(seen.anchors, v), mixed_pairs(pairs, mix)


def mixed_anchors(
    seen: Embedded, columns: Columns, pairs: Pairs, spec: MixSpec
) -> tuple[Tensor, Pairs]:
    """Each proxy against mixed anchors, `Y' = (Yᵀ Mᵀ)ᵀ`: S and pairs `[V, C]`.

    For ProxyAnchor, whose anchors are the proxies.
    """
    s, mix = _of_mixed_anchors(seen, columns, pairs, spec)
    return s, mixed_pairs(pairs.T, mix).T


def mixed_examples(
    seen: Embedded, columns: Columns, pairs: Pairs, spec: MixSpec
) -> tuple[Tensor, Pairs]:
    """Each mixed anchor against every proxy, soft labels of its two halves: S and pairs `[V, C]`.

    With `mixed_anchors` a softmax over proxies (ProxyNCA++) would see one proxy a row, the
    positive one: a constant, without gradient.  That the paper mixes so is not verified.
    """
    s, mix = _of_mixed_anchors(seen, columns, pairs, spec)
    return s, pairs_of_mixed_anchors(pairs, mix)


def _of_mixed_anchors(
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
