"""From a view to pixels: the same view at the teacher's size and at the student's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from lorgnette.manifest import InputSpec
from training.data.crops import Light, Region, View

Read = Callable[[int], NDArray[np.uint8]]
"""Decode photograph i: uint8 sRGB `[H, W, 3]`."""


def render(view: View, read: Read, *, height: int, width: int) -> Tensor:
    """Render a view: uint8 `[3, height, width]`, squashed, antialiased bilinear."""
    if view.join is None:
        pixels = _piece(view.region, read, height=height, width=width)
    else:
        shared = height if view.join.is_stacked else width
        first = round(view.join.share * shared)
        sizes = [(first, view.region), (shared - first, view.join.other)]
        if view.join.is_stacked:
            parts = [_piece(region, read, height=n, width=width) for n, region in sizes]
        else:
            parts = [_piece(region, read, height=height, width=n) for n, region in sizes]
        pixels = torch.cat(parts, dim=1 if view.join.is_stacked else 2)
    return pixels if view.light is None else _relit(pixels, view.light)


def joint_size(aspect: float, *, size_px: int) -> tuple[int, int]:
    """Height and width of images of that aspect, width / height, whose longer side is size_px."""
    if aspect >= 1:
        return max(1, round(size_px / aspect)), size_px
    return size_px, max(1, round(size_px * aspect))


def squash(pixels: NDArray[np.uint8], *, height: int, width: int) -> Tensor:
    """Resize uint8 `[H, W, 3]` to uint8 `[3, height, width]`, as the exported graph does."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    resized: Tensor = vision.resize(
        image, [height, width], interpolation=InterpolationMode.BILINEAR, antialias=True
    )
    return resized


def normalise(images: Tensor, spec: InputSpec) -> Tensor:
    """uint8 `[N, 3, H, W]` → float32 `(x / 255 - mean) / std`, channels last."""
    mean = torch.tensor(spec.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(spec.std, device=images.device).view(1, 3, 1, 1)
    scaled = (images.to(torch.float32) / 255 - mean) / std
    return scaled.contiguous(memory_format=torch.channels_last)


def _piece(region: Region, read: Read, *, height: int, width: int) -> Tensor:
    pixels = read(region.photograph)
    rows, columns = region.bounds(*pixels.shape[:2])
    piece = squash(pixels[rows, columns], height=height, width=width)
    return piece.flip(-1) if region.is_flipped else piece


def _relit(pixels: Tensor, light: Light) -> Tensor:
    pixels = vision.adjust_brightness(pixels, light.brightness)
    pixels = vision.adjust_contrast(pixels, light.contrast)
    relit: Tensor = vision.adjust_saturation(pixels, light.saturation)
    return relit
