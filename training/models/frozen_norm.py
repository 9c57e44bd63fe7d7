"""A faster view of a network whose batch-norm statistics are frozen; the weights are shared."""

from __future__ import annotations

import copy
from itertools import chain, pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class FrozenNormConv(nn.Module):
    """A convolution and the frozen batch norm after it as one convolution.

    Gradients reach the convolution's weight and the norm's scale and shift through the product,
    so training it is training the two; it only skips the norm's passes over the feature map.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """x: `[N, C, H, W]`.  Returns the normalised convolution, before any activation."""
        norm = self.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        folded = {"weight": self.conv.weight * scale.view(-1, 1, 1, 1), "bias": shift}
        y: Tensor = torch.func.functional_call(self.conv, folded, (x,))
        return y


def with_frozen_norms(network: Network) -> Network:
    """The same function in evaluation mode, sharing every parameter and buffer with `network`.

    Each convolution without bias that is followed by a batch norm among its siblings is folded
    with it; an activation inside timm's norm layers stays.
    """
    shared = {id(tensor): tensor for tensor in chain(network.parameters(), network.buffers())}
    view = copy.deepcopy(network, memo=shared).eval()
    for parent in list(view.modules()):
        for (conv_name, conv), (norm_name, norm) in pairwise(list(parent.named_children())):
            if _is_foldable(conv, norm):
                setattr(parent, conv_name, FrozenNormConv(conv, norm))  # type: ignore[arg-type]
                setattr(parent, norm_name, getattr(norm, "act", nn.Identity()))
    return view


def _is_foldable(conv: nn.Module, norm: nn.Module) -> bool:
    return (
        isinstance(conv, nn.Conv2d)
        and conv.bias is None
        and isinstance(norm, nn.BatchNorm2d)
        and norm.affine
        and norm.track_running_stats
        and norm.num_features == conv.out_channels
    )
