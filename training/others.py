"""Who embeds the columns that the anchors are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration
from training.data.row_cache import RowCache
from training.embedded import Embedded
from training.pairs import Identity


@dataclass(frozen=True)
class Columns:
    """x: `[X, D]` unit rows, of codebooks `[M, X, D / M]`.  who: `[X]`, the identity of each.

    used: bool `[A, X]`, the pairs the sampler allows.
    """

    x: Tensor
    who: Identity
    used: Tensor


class Others(Protocol):
    """The columns for a batch whose images the student has embedded."""

    def __call__(self, seen: Embedded) -> Columns:  # noqa: D102  the class says it
        ...


@dataclass(frozen=True)
class Student:
    """The student's own rows of the batch: symmetric training; the gradient reaches both sides."""

    def __call__(self, seen: Embedded) -> Columns:
        """Columns in the order of the images.

        Raises `InvalidConfiguration` when the sampler chose columns that are not in the batch.
        """
        batch = seen.batch
        if not torch.equal(batch.others.ids, batch.who.ids):
            raise InvalidConfiguration(
                f"the student embeds the columns, but {len(batch.others.ids)} of them were chosen "
                f"beside the {len(batch.who.ids)} images: sample tuples whose others are rendered, "
                "or take the teacher's columns"
            )
        return Columns(seen.rows, batch.who, batch.used)


@dataclass(frozen=True)
class Teacher:
    """The teacher's cached rows of the sampler's columns; no gradient reaches them."""

    cache: RowCache

    def __call__(self, seen: Embedded) -> Columns:
        """Columns in the order of `batch.others`."""
        others = seen.batch.others
        return Columns(self.rows(others, like=seen.rows), others, seen.batch.used)

    def rows(self, who: Identity, *, like: Tensor) -> Tensor:
        """The teacher's unit rows `[N, D]` float32 of those views, where `like` is.

        A cache of the first n rounds holds the view's row, or that of an earlier view of the same
        photograph; of one round of whole photographs, the photograph's (`training.data.loader`).
        """
        numbers = who.ids.cpu().numpy() % self.cache.binding.count
        return torch.from_numpy(self.cache.rows(numbers)).to(like.device)


class Proxies(nn.Module):
    """One learnable row per class, unit when used; the optimiser trains it with the student."""

    def __init__(self, classes: int, dim: int, *, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(classes, dim, generator=random))

    def forward(self, seen: Embedded) -> Columns:
        """Columns `[C, D]`, labelled 0..C-1.

        Raises `InvalidConfiguration` when the batch shows a class without proxy.
        """
        classes = torch.arange(len(self.weight), device=self.weight.device)
        last = int(seen.batch.who.labels.max())
        if last >= len(classes):
            raise InvalidConfiguration(
                f"a view of class {last} and proxies of {len(classes)} classes: the objective was "
                "built for other data"
            )
        used = seen.batch.used.new_ones(len(seen.batch.anchors), len(classes))
        # Views are numbered from 0: a proxy is nobody's own row.
        return Columns(F.normalize(self.weight, dim=-1), Identity(-1 - classes, classes), used)


class Codebooks(nn.Module):
    """Product-quantisation centroids of the teacher's rows: M times K unit columns, fixed.

    The anchors of structure-similarity preservation (SSP).  centroids: `[M, K, D / M]`.
    """

    centroids: Tensor

    def __init__(self, centroids: Tensor) -> None:
        super().__init__()
        self.register_buffer("centroids", F.normalize(centroids, dim=-1))

    def forward(self, seen: Embedded) -> Columns:
        """Columns `[M, K, D / M]`, which nobody is."""
        nobody = torch.full((self.centroids.shape[1],), -1, device=self.centroids.device)
        used = seen.batch.used.new_ones(len(seen.batch.anchors), len(nobody))
        return Columns(self.centroids, Identity(nobody, nobody), used)


def similarities(anchors: Tensor, x: Tensor) -> Tensor:
    """Cosines: `[A, X]`, or `[A, M, K]` with codebooks.

    anchors: `[A, D]` unit rows.  x: `[X, D]` unit rows, or `[M, K, D / M]`: each part of an anchor
    is made unit and compared with the centroids of its own subspace.
    """
    if x.ndim == 2:
        return anchors @ x.T
    parts = F.normalize(anchors.reshape(len(anchors), len(x), -1), dim=-1)
    return torch.einsum("amd,mkd->amk", parts, x)
