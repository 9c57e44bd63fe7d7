"""Global-local attention on a feature map.  Song, Han and Avrithis, WACV 2022 (GLAM).

Equation numbers are the paper's.  All four attention maps are computed from the same features F.

What the paper leaves open, and what is done here:

- c' is `c / reduction` in both spatial parts.
- The 1-d convolutions have no bias, as in ECA (Wang et al., CVPR 2020); the others have one.
- The softmaxes of (3) and (4) go over the rows of A, the index that V·A sums over, so that each
  output is a convex combination of V's columns.
- The local spatial map has no sigmoid and KᵀQ is not scaled: neither is stated.
- The scalars of the fusion begin equal.
- With a part switched off its equation is left out, and what reads its result reads F.  A stream
  with both parts off has no share in the fusion; with all four off the module is the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.models.specs import Glam


class GlobalLocalAttention(nn.Module):
    """Features fused with their local and their global attention.  channels: C."""

    def __init__(self, channels: int, spec: Glam) -> None:
        super().__init__()
        reduced = max(1, channels // spec.reduction)
        self.local_channel = LocalChannel(spec.kernel) if spec.local_channel else None
        self.local_spatial = (
            LocalSpatial(channels, reduced, spec.dilations) if spec.local_spatial else None
        )
        self.global_channel = GlobalChannel(spec.kernel) if spec.global_channel else None
        self.global_spatial = GlobalSpatial(channels, reduced) if spec.global_spatial else None
        self.has_local = spec.local_channel or spec.local_spatial
        self.has_global = spec.global_channel or spec.global_spatial
        streams = self.has_local + self.has_global
        self.fusion = nn.Parameter(torch.zeros(streams + 1)) if streams else None

    def forward(self, features: Tensor) -> Tensor:
        """features: F `[N, C, H, W]`.  Returns w_l F_l + w_g F_g + w F, eq. (7)."""
        if self.fusion is None:
            return features
        streams = [features]
        if self.has_global:
            streams.insert(0, self.global_stream(features))
        if self.has_local:
            streams.insert(0, self.local_stream(features))
        weights = self.fusion.softmax(dim=0)
        fused = weights[0] * streams[0]
        for weight, stream in zip(weights[1:], streams[1:], strict=True):
            fused = fused + weight * stream
        return fused

    def local_stream(self, features: Tensor) -> Tensor:
        """F_l `[N, C, H, W]`: eqs. (1) and (2)."""
        f = features
        if self.local_channel is not None:
            f = f * self.local_channel(features) + f
        if self.local_spatial is not None:
            f = f * self.local_spatial(features) + f
        return f

    def global_stream(self, features: Tensor) -> Tensor:
        """F_g `[N, C, H, W]`: eqs. (5) and (6); only the spatial one has a residual."""
        f = features
        if self.global_channel is not None:
            f = f * self.global_channel(features)
        if self.global_spatial is not None:
            f = f * self.global_spatial(features) + f
        return f


class LocalChannel(nn.Module):
    """One weight a channel, from its neighbours in the order of channels."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = _over_channels(kernel)

    def forward(self, features: Tensor) -> Tensor:
        """features: `[N, C, H, W]`.  Returns the map in (0, 1), `[N, C, 1, 1]`."""
        return _channel_gate(self.conv, features)[:, :, None, None]


class LocalSpatial(nn.Module):
    """One weight a position, from neighbourhoods of several sizes.  reduced: c'."""

    def __init__(self, channels: int, reduced: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.dilated = nn.ModuleList(
            nn.Conv2d(reduced, reduced, 3, padding=d, dilation=d) for d in dilations
        )
        self.merge = nn.Conv2d((1 + len(dilations)) * reduced, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features: `[N, C, H, W]`.  Returns the map, any real number, `[N, 1, H, W]`."""
        reduced = self.reduce(features)
        scales = [reduced, *(conv(reduced) for conv in self.dilated)]
        attention: Tensor = self.merge(torch.cat(scales, dim=1))
        return attention


class GlobalChannel(nn.Module):
    """Each channel as a mixture of all channels."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.query = _over_channels(kernel)
        self.key = _over_channels(kernel)

    def attention(self, features: Tensor) -> Tensor:
        """features: `[N, C, H, W]`.  Returns A `[N, C, C]`, eq. (3); columns sum to 1."""
        q, k = _channel_gate(self.query, features), _channel_gate(self.key, features)
        return (k[:, :, None] * q[:, None, :]).softmax(dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """features: `[N, C, H, W]`.  Returns G = V A, `[N, C, H, W]`; V is F as `[HW, C]`."""
        v = features.flatten(2).transpose(1, 2)
        return (v @ self.attention(features)).transpose(1, 2).view_as(features)


class GlobalSpatial(nn.Module):
    """Each position as a mixture of all positions.  reduced: c'."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, reduced, 1)
        self.key = nn.Conv2d(channels, reduced, 1)
        self.value = nn.Conv2d(channels, reduced, 1)
        self.expand = nn.Conv2d(reduced, channels, 1)

    def attention(self, features: Tensor) -> Tensor:
        """features: `[N, C, H, W]`.  Returns A `[N, HW, HW]`, eq. (4); columns sum to 1."""
        q, k = self.query(features).flatten(2), self.key(features).flatten(2)
        attention: Tensor = (k.transpose(1, 2) @ q).softmax(dim=1)
        return attention

    def forward(self, features: Tensor) -> Tensor:
        """features: `[N, C, H, W]`.  Returns G = conv(V A), `[N, C, H, W]`."""
        v = self.value(features)
        mixed = (v.flatten(2) @ self.attention(features)).view_as(v)
        expanded: Tensor = self.expand(mixed)
        return expanded


def _over_channels(kernel: int) -> nn.Conv1d:
    return nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)


def _channel_gate(conv: nn.Conv1d, features: Tensor) -> Tensor:
    """sigmoid(conv1d(mean over positions)): `[N, C]` in (0, 1)."""
    gate: Tensor = conv(features.mean(dim=(-2, -1)).unsqueeze(1)).squeeze(1).sigmoid()
    return gate
