"""Generated views of a photograph: what a second shot of the same thing might look like.

The three geometric views are one operation: a quadrilateral inside the photograph is stretched
over the whole frame, so that no border is ever invented. A view depends only on the photograph,
its kinds and its seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ViewKind = Literal["crop", "perspective", "slight perspective", "rotation", "light"]

MAX_SIDE_PX = 1024
"""A photograph's longer side is first reduced to this, so that a view costs milliseconds."""

_Corners = NDArray[np.float64]
"""`[4, 2]` x, y as fractions of the frame: upper left, upper right, lower right, lower left."""

_FRAME: _Corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def make_view(photo: Image.Image, kinds: Sequence[ViewKind], *, seed: int) -> Image.Image:
    """Return an RGB view of the photograph, the kinds applied in the given order."""
    image = photo.convert("RGB")
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    for step, kind in enumerate(kinds):
        image = _MAKERS[kind](image, np.random.default_rng([seed, step]))
    return image


def _crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = rng.uniform(0.65, 0.85, size=2)
    offset = rng.uniform(0.0, 1.0 - side)
    return _stretch(image, offset + _FRAME * side)


def _perspective(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    inward = rng.uniform(0.0, 0.16, size=(4, 2))
    return _stretch(image, _FRAME + inward * (1.0 - 2.0 * _FRAME))


def _slight_perspective(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A hand that moved a little."""
    inward = rng.uniform(0.0, 0.06, size=(4, 2))
    return _stretch(image, _FRAME + inward * (1.0 - 2.0 * _FRAME))


def _rotation(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    angle = np.deg2rad(rng.uniform(4.0, 10.0)) * rng.choice([-1.0, 1.0])
    size = np.array(image.size, dtype=np.float64)
    cos, sin = np.cos(angle), np.sin(angle)
    # The largest frame of the same proportions that still fits inside when turned by the angle.
    scale = 1.0 / (cos + abs(sin) * size.max() / size.min())
    turned = (_FRAME - 0.5) * size * scale @ np.array([[cos, sin], [-sin, cos]])
    return _stretch(image, turned / size + 0.5)


def _light(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Another exposure, another lamp, and a shade that falls across the frame."""
    linear = np.asarray(image, dtype=np.float64) / 255.0
    exposure = rng.uniform(0.6, 1.35)
    warmth = rng.uniform(-0.12, 0.12)
    gamma = rng.uniform(0.8, 1.25)
    shade = np.linspace(1.0, rng.uniform(0.6, 0.9), image.width)[None, :, None]
    if rng.random() < 0.5:
        shade = shade[:, ::-1]
    gain = exposure * np.array([1.0 + warmth, 1.0, 1.0 - warmth])
    lit = np.clip(linear**gamma * gain * shade, 0.0, 1.0)
    return Image.fromarray(np.round(lit * 255.0).astype(np.uint8))


_MAKERS: dict[ViewKind, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "crop": _crop,
    "perspective": _perspective,
    "slight perspective": _slight_perspective,
    "rotation": _rotation,
    "light": _light,
}


def _stretch(image: Image.Image, corners: _Corners) -> Image.Image:
    """Stretch the quadrilateral over a frame as large as its mean width and height."""
    pixels = corners * np.array(image.size, dtype=np.float64)
    edges = np.linalg.norm(np.roll(pixels, -1, axis=0) - pixels, axis=1)
    width = max(1, round((edges[0] + edges[2]) / 2))
    height = max(1, round((edges[1] + edges[3]) / 2))
    return image.transform(
        (width, height),
        Image.Transform.PERSPECTIVE,
        _homography(_FRAME * [width, height], pixels),
        Image.Resampling.BICUBIC,
    )


def _homography(target: _Corners, source: _Corners) -> list[float]:
    """Pillow's eight coefficients that map each target corner to its source corner."""
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows.append([x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y])
        rows.append([0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y])
    return [float(value) for value in np.linalg.solve(np.array(rows), source.reshape(-1))]
