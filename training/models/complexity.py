"""How large a network is and how much it computes, beside what was published."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel
from torch.utils.flop_counter import FlopCounterMode

from lorgnette.manifest import InputSpec
from training.config import load_config
from training.models.backbone import build_backbone
from training.models.embedder import Embedder
from training.models.specs import Network

PUBLISHED_PX = 362
"""Side of the images that Budnik and Avrithis, CVPR 2021 (AML) state their figures for."""

CONVENTION = (
    "GFLOPs = 2 × multiply-adds of convolutions, linear layers and matrix products, and of batch "
    "norm (1 a number), plus 1 a number for ReLU; nothing else is counted. One image."
)

_ATEN = torch.ops.aten


@dataclass(frozen=True)
class Complexity:
    """parameters: all that are learned.  flops: of one image, see `CONVENTION`.

    product_flops: the part of convolutions, linear layers and matrix products.
    """

    parameters: int
    flops: int
    product_flops: int


@dataclass(frozen=True)
class Published:
    """Figures of a backbone with GeM and no head, from the AML paper.  parameters: millions."""

    label: str
    backbone: str
    adapt_dim: int | None
    gflops: float
    parameters: float


PUBLISHED = (
    Published("ResNet101", "resnet101", None, 42.85, 42.50),
    Published("EN-B3", "tf_efficientnet_b3", None, 5.36, 10.70),
    Published("EN-B3 + adaptation", "tf_efficientnet_b3", 2048, 6.26, 13.84),
)


def measure(network: Network, *, size_px: int) -> Complexity:
    """Count without weights and without computing.  size_px: side of the square image.

    Raises `InvalidConfiguration` when the network cannot be built.
    """
    with torch.device("meta"):
        embedder = Embedder(network).eval()
        image = torch.zeros(1, 3, size_px, size_px)
    counter = FlopCounterMode(display=False, custom_mapping=_ELEMENTWISE)
    with torch.no_grad(), counter:
        embedder(image)
    counted = counter.get_flop_counts()["Global"]
    elementwise = sum(flops for op, flops in counted.items() if op in _ELEMENTWISE)
    flops = sum(counted.values())
    parameters = sum(p.numel() for p in embedder.parameters())
    return Complexity(parameters, flops, product_flops=flops - elementwise)


def published(network: Network, *, size_px: int) -> Published | None:
    """What the paper states for this network at this size, if it does."""
    if size_px != PUBLISHED_PX or network.head is not None or network.attention is not None:
        return None
    asked = (network.backbone, network.adapt_dim)
    return next((p for p in PUBLISHED if (p.backbone, p.adapt_dim) == asked), None)


def published_networks() -> list[tuple[str, Network]]:
    """Label and description of each network in `PUBLISHED`."""
    return [(p.label, bare(p.backbone, adapt_dim=p.adapt_dim)) for p in PUBLISHED]


def described(name: str) -> tuple[str, Network]:
    """Label and description of the network of an experiment (a YAML), or of timm's backbone.

    Raises `InvalidConfiguration` when there is no such file or backbone.
    """
    if not name.endswith((".yaml", ".yml")):
        return name, bare(name, adapt_dim=None)
    experiment = load_config(Path(name), _Experiment)
    return experiment.name, experiment.model


class _Experiment(BaseModel):
    """What experiments of every kind have."""

    name: str
    model: Network


def bare(backbone: str, *, adapt_dim: int | None) -> Network:
    """A backbone with GeM and nothing else but, if asked for, adaptation.

    Raises `InvalidConfiguration` when timm has no such network or it gives no feature map.
    """
    with torch.device("meta"):
        _, channels = build_backbone(backbone)
    return Network(
        backbone=backbone,
        weights="none",
        licence="none",
        adapt_dim=adapt_dim,
        attention=None,
        gem_p=3.0,
        head=None,
        dim=adapt_dim or channels,
        input=InputSpec(
            size_px=PUBLISHED_PX,
            resize="antialiased-bilinear-uint8",
            aspect="squash",
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
    )


def _batch_norm(shape: torch.Size, *_shapes: object, **_named: object) -> int:
    return 2 * math.prod(shape)


def _relu(shape: torch.Size, *_shapes: object, **_named: object) -> int:
    return math.prod(shape)


_ELEMENTWISE = {
    _ATEN.native_batch_norm: _batch_norm,
    _ATEN.cudnn_batch_norm: _batch_norm,
    _ATEN._native_batch_norm_legit_no_training: _batch_norm,
    _ATEN.relu: _relu,
    _ATEN.relu_: _relu,
}
