"""timm backbones by name, as feature maps."""

from __future__ import annotations

import difflib

import timm
import torch
from torch import nn

from lorgnette.errors import InvalidConfiguration

PROBE = (96, 128)
"""Height and width of the blank image that tells a backbone's number of channels: large enough for
every convolutional network, and not square, as images are not."""


def build_backbone(name: str) -> tuple[nn.Module, int]:
    """The features of a timm network, randomly initialised, and their number of channels C.

    The module maps `[N, 3, H, W]` to `[N, C, h, w]`.
    Raises `InvalidConfiguration` when timm has no such network or it gives no feature map.
    """
    try:
        network = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
    except RuntimeError as error:
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise InvalidConfiguration(
            f"timm has no network {name!r}: expected one of timm.list_models(), such as "
            f"{', '.join(near) or 'resnet101, efficientnet_b3'}"
        ) from error
    return network, _channels(network, name=name)


def _channels(network: nn.Module, *, name: str) -> int:
    training = network.training
    try:
        with torch.no_grad():
            features = network.eval()(torch.zeros(1, 3, *PROBE))
    # A network of another input (fixed size, sequences) may raise anything.
    except Exception as error:
        raise InvalidConfiguration(
            f"{name!r} does not take images of any size ({error}): use a convolutional backbone"
        ) from error
    network.train(training)
    # Some give [N, h, w, C]; timm's own record tells their channels from a side.
    known = {getattr(network, key, None) for key in ("num_features", "head_hidden_size")}
    if features.ndim != 4 or features.shape[1] not in known:
        raise InvalidConfiguration(
            f"{name!r} gives {list(features.shape)} for {PROBE[0]} × {PROBE[1]} pixels, expected a "
            "feature map [N, C, h, w]: use a convolutional backbone"
        )
    return int(features.shape[1])
