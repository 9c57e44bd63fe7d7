"""timm backbones by name, as feature maps."""

from __future__ import annotations

import timm
import torch
from torch import nn

from lorgnette.errors import InvalidConfiguration

PROBE_PX = 64
"""Side of the blank image that tells a backbone's number of channels."""


def build_backbone(name: str) -> tuple[nn.Module, int]:
    """The features of a timm network, randomly initialised, and their number of channels C.

    The module maps `[N, 3, S, S]` to `[N, C, h, w]`.
    Raises `InvalidConfiguration` when timm has no such network or it gives no feature map.
    """
    try:
        network = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
    except RuntimeError as error:
        near = ", ".join(timm.list_models(f"*{name[:12]}*")[:5]) or "see timm.list_models()"
        raise InvalidConfiguration(
            f"timm has no network {name!r}: expected a name such as {near}"
        ) from error
    return network, _channels(network, name=name)


def _channels(network: nn.Module, *, name: str) -> int:
    training = network.training
    try:
        with torch.no_grad():
            features = network.eval()(torch.zeros(1, 3, PROBE_PX, PROBE_PX))
    # A network of another input (fixed size, sequences) may raise anything.
    except Exception as error:
        raise InvalidConfiguration(f"{name!r} does not take images of any size: {error}") from error
    network.train(training)
    if features.ndim != 4:
        raise InvalidConfiguration(
            f"{name!r} gives {list(features.shape)}, expected a feature map [N, C, h, w]: "
            "use a convolutional backbone"
        )
    return int(features.shape[1])
