"""Generalised-mean pooling: from a feature map to one row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPS = 1e-6
"""Activations are clamped here from below, so that every power of them is finite."""


class GeM(nn.Module):
    """`(mean over positions of x^p)^(1/p)`, p learnable.  Radenović et al., TPAMI 2019, eq. (3).

    p = 1 is the mean, p → ∞ the maximum.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([p], dtype=torch.float32))

    def forward(self, features: Tensor) -> Tensor:
        """features: `[N, C, H, W]`, values below `EPS` count as `EPS`.  Returns `[N, C]` > 0."""
        # At least float32, also under AMP: EPS³ is 0 in float16, and its root has no gradient.
        x = features.to(torch.promote_types(features.dtype, torch.float32)).clamp(min=EPS)
        pooled: Tensor = x.pow(self.p).mean(dim=(-2, -1)).pow(1.0 / self.p)
        return pooled
