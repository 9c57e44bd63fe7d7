"""One photograph of a benchmark, or the part of it that is asked for.  No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidImage
from lorgnette.image import read_image, upright_size
from training.data.public.layout import Box


@dataclass(frozen=True)
class Shot:
    """box: the part of it, or None: the whole photograph."""

    path: Path
    box: Box | None


@dataclass(frozen=True)
class Pixels:
    """pixels: uint8 sRGB `[H, W, 3]`.  share: its longer side over the whole photograph's, ≤ 1."""

    pixels: NDArray[np.uint8]
    share: float


def read_shot(shot: Shot) -> Pixels:
    """Decode and crop.

    Raises `InvalidImage` when the photograph cannot be read or the box lies outside of it.
    """
    pixels = read_image(shot.path)
    if shot.box is None:
        return Pixels(pixels, 1.0)
    height, width = pixels.shape[:2]
    left, top, right, bottom = _scaled(shot.path, shot.box, width=width, height=height)
    crop = pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if not crop.size:
        raise InvalidImage(
            f"{shot.path}: the box {shot.box} holds no pixel of its {width} × {height}: the ground "
            "truth is of another copy of this photograph"
        )
    return Pixels(crop, max(crop.shape[:2]) / max(height, width))


def _scaled(path: Path, box: Box, *, width: int, height: int) -> tuple[int, int, int, int]:
    """The box in whole decoded pixels: a large JPEG is decoded at a fraction of its size."""
    stated_height, stated_width = upright_size(path)
    x, y = width / stated_width, height / stated_height
    return round(box.left * x), round(box.top * y), round(box.right * x), round(box.bottom * y)
