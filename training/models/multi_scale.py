"""One row for an image seen at several scales, at test time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from training.models.embedder import Embedder


@dataclass(frozen=True)
class MultiScale:
    """Embeds images at several scales and combines the rows; see the two functions below.

    scales: factors of the images' sides.  describe: images `[N, 3, H, W]` to rows `[N, C]`.
    combine: the scales' rows `[S, N, C]` to `[N, C]`.  finish: those to unit rows `[N, D]`.
    """

    scales: tuple[float, ...]
    describe: Callable[[Tensor], Tensor]
    combine: Callable[[Tensor], Tensor]
    finish: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """x: float32 `[N, 3, H, W]` normalised, any size.  Returns unit rows `[N, D]`."""
        rows = torch.stack([self.describe(scaled(x, factor)) for factor in self.scales])
        return self.finish(self.combine(rows))


def average_of_scales(embedder: Embedder, *, scales: tuple[float, ...]) -> MultiScale:
    """The mean of the scales' embeddings, brought to unit length.  Song et al., WACV 2022 (GLAM).

    Raises `InvalidConfiguration` for no scale or one that is not positive.
    """
    _require_scales(scales)
    return MultiScale(scales, embedder, lambda rows: rows.mean(dim=0), _unit)


def power_mean_of_scales(
    embedder: Embedder, *, scales: tuple[float, ...], exponent: float
) -> MultiScale:
    """The power mean of the scales' pooled unit rows, to unit length, then the head (a whitening).

    exponent: > 0; cirtorch and AML take the network's own GeM power.  Radenović et al., TPAMI
    2019.  Only pooled rows have a power mean, being positive; a head comes after it.
    Raises `InvalidConfiguration` for wrong scales or exponent, and for a network whose head takes
    rows that are not of unit length.
    """
    _require_scales(scales)
    if not exponent > 0:
        raise InvalidConfiguration(f"exponent {exponent}: expected a number above 0")
    if not embedder.pools_to_unit_rows:
        raise InvalidConfiguration(
            "a power mean of scales is taken of unit rows before the head, but this network's head "
            "takes the pooled rows as they are: average its embeddings instead"
        )
    return MultiScale(
        scales,
        embedder.pooled,
        lambda rows: _unit(rows.pow(exponent).mean(dim=0).pow(1 / exponent)),
        embedder.project,
    )


def scaled(x: Tensor, factor: float) -> Tensor:
    """x: `[N, 3, H, W]`.  Sides times the factor, rounded down, at least 1; bilinear.

    Not antialiased, as published.
    """
    if factor == 1:
        return x
    size = [max(1, int(side * factor)) for side in x.shape[-2:]]
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _unit(rows: Tensor) -> Tensor:
    return F.normalize(rows, dim=-1)


def _require_scales(scales: tuple[float, ...]) -> None:
    if not scales or not all(factor > 0 for factor in scales):
        raise InvalidConfiguration(f"scales {scales}: expected one or more numbers above 0")
