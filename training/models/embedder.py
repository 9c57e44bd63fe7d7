"""The network of both sides: backbone → GeM → unit → linear → unit row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.backbone import build_backbone
from training.models.pooling import GeM


class Embedder(nn.Module):
    """Embeds normalised images; a teacher's whitening is folded into `head`.

    backbone: a timm name, built without pretrained weights, always the same random ones.
    p: the initial power of GeM.  dim: length D of the embedding.
    """

    def __init__(self, backbone: str, *, p: float, dim: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.backbone, channels = build_backbone(backbone)
            self.pool = GeM(p)
            self.head = nn.Linear(channels, dim)

    def pooled(self, x: Tensor) -> Tensor:
        """x: float32 `[N, 3, S, S]` normalised.  Returns unit rows `[N, C]`: before the head."""
        return F.normalize(self.pool(self.backbone(x)), dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """x: float32 `[N, 3, S, S]` normalised.  Returns unit rows `[N, D]`."""
        return F.normalize(self.head(self.pooled(x)), dim=-1)
