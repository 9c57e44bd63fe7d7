"""The network of both sides: backbone → adaptation → attention → GeM → head → unit row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration
from training.models.backbone import build_backbone
from training.models.glam import GlobalLocalAttention
from training.models.pooling import GeM
from training.models.specs import Head, Network


class Embedder(nn.Module):
    """Embeds normalised images; a teacher's whitening is folded into `linear`.

    Built without pretrained weights, always with the same random ones.  `head` is a linear layer,
    or the identity when the network has none; `network` is the description it was built from.
    Raises `InvalidConfiguration` when the description does not fit its backbone.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.backbone, channels = build_backbone(network.backbone)
            self.adapt = _adaptation(channels, network.adapt_dim)
            self.pooled_dim = network.adapt_dim or channels
            self.attention: nn.Module = nn.Identity()
            if network.attention is not None:
                self.attention = GlobalLocalAttention(self.pooled_dim, network.attention)
            self.pool = GeM(network.gem_p)
            self.head, self.dropout, self.head_norm = _head(
                network.head, pooled_dim=self.pooled_dim, dim=network.dim
            )

    @property
    def dim(self) -> int:
        """Length D of the embedding."""
        return self.network.dim

    @property
    def pools_to_unit_rows(self) -> bool:
        """Whether `pooled` gives unit rows."""
        return self.network.head is None or self.network.head.unit_input

    @property
    def linear(self) -> nn.Linear:
        """The head's linear layer.  Raises `InvalidConfiguration` when the network has no head."""
        if not isinstance(self.head, nn.Linear):
            raise InvalidConfiguration(
                "the network has no head, so there is no layer for a whitening or a closed-form "
                "solution: give model.head"
            )
        return self.head

    def features(self, x: Tensor) -> Tensor:
        """x: float32 `[N, 3, H, W]` normalised.  Returns `[N, C, h, w]`: what is pooled."""
        features: Tensor = self.attention(self.adapt(self.backbone(x)))
        return features

    def pooled(self, x: Tensor) -> Tensor:
        """x: float32 `[N, 3, H, W]` normalised.  Returns `[N, C]` > 0: what the head takes.

        Unit rows if the head takes those; without a head, unit rows too.
        """
        rows: Tensor = self.pool(self.features(x))
        return F.normalize(rows, dim=-1) if self.pools_to_unit_rows else rows

    def project(self, rows: Tensor) -> Tensor:
        """rows: `[N, C]`, what `pooled` gives.  Returns unit rows `[N, D]`: the head and L2."""
        if self.network.head is None:
            return F.normalize(rows, dim=-1)
        return F.normalize(self.head_norm(self.dropout(self.head(rows))), dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """x: float32 `[N, 3, H, W]` normalised.  Returns unit rows `[N, D]`."""
        return self.project(self.pooled(x))


def _adaptation(channels: int, adapt_dim: int | None) -> nn.Module:
    """A 1 × 1 convolution without bias, and ReLU.  Budnik and Avrithis, CVPR 2021 (their code)."""
    if adapt_dim is None:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, adapt_dim, 1, bias=False), nn.ReLU())


def _head(
    head: Head | None, *, pooled_dim: int, dim: int
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Linear layer, dropout and batch norm; the identity for what there is not."""
    if head is None:
        if pooled_dim != dim:
            raise InvalidConfiguration(
                f"without a head the embedding has the {pooled_dim} numbers that are pooled, found "
                f"dim {dim}: say dim: {pooled_dim}, or give adapt_dim or a head"
            )
        return nn.Identity(), nn.Identity(), nn.Identity()
    return (
        nn.Linear(pooled_dim, dim, bias=head.bias),
        nn.Dropout(head.dropout) if head.dropout else nn.Identity(),
        nn.BatchNorm1d(dim) if head.batch_norm else nn.Identity(),
    )
