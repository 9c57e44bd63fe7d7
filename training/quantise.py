"""Training for eight bits: the forward pass rounds as int8 will, the gradient passes through.

Jacob et al., CVPR 2018 (quantisation-aware training); the straight-through estimator is Bengio et
al., 2013. What `lorgnette quantise` does to a trained network is simulated on every convolution:
weights with a scale for each output channel, activations with one for the tensor. The batch norm
behind a convolution, which export folds into its weights, only multiplies each channel's scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

SMALLEST = 1e-8

CONVOLUTIONS: frozenset[Callable[..., object]] = frozenset({torch.conv2d})


class FakeInt8(TorchFunctionMode):
    """While it is entered, convolutions see weights and inputs rounded to eight bits.

    The network itself is untouched: its state is that of any other training.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Called by torch in place of every function of it."""
        if func not in CONVOLUTIONS:
            return func(*args, **(kwargs or {}))
        images, weight, *others = args
        assert isinstance(images, Tensor)
        assert isinstance(weight, Tensor)
        rounded = (rounded_input(images), rounded_weight(weight), *others)
        return func(*rounded, **(kwargs or {}))


def rounded_weight(weight: Tensor) -> Tensor:
    """`[out, in, kH, kW]` on 255 levels symmetric about 0, spread over each output channel."""
    scale = weight.detach().abs().amax(dim=(1, 2, 3)).clamp(min=SMALLEST) / 127
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


def rounded_input(images: Tensor) -> Tensor:
    """`[N, C, H, W]` on 256 levels from its least value (or 0) to its greatest (or 0)."""
    seen = images.detach()
    low, high = seen.amin().clamp(max=0), seen.amax().clamp(min=0)
    scale = ((high - low) / 255).clamp(min=SMALLEST)
    zero = (-low / scale).round().clamp(0, 255).to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(images, scale, zero, 0, 255)
