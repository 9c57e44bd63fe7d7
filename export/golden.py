"""A bundle's golden cases: small deterministic images and the vectors they must give."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from export.runtime import open_session
from export.samples import Pixels, scene
from lorgnette.encoder import INPUT_NAME
from lorgnette.vectors import Vectors, unit_rows

SIZES = {"landscape": (240, 360), "portrait": (200, 133), "strip": (40, 560)}
"""Height and width by name: larger than most inputs, smaller, and of extreme aspect."""


def golden_images() -> dict[str, Pixels]:
    """The golden images by their path in the bundle."""
    return {
        f"golden/{name}.png": scene(height, width, seed=seed)
        for seed, (name, (height, width)) in enumerate(SIZES.items(), start=100)
    }


def golden_vector(model: bytes, pixels: Pixels, *, dim: int) -> Vectors:
    """The unit row `[1, dim]` that a float32 `model.onnx` gives for an image."""
    (row,) = open_session(model).run(None, {INPUT_NAME: pixels})
    return unit_rows(np.asarray(row), dim=dim)


def png_bytes(pixels: Pixels) -> bytes:
    """The image as a lossless PNG without metadata."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
