"""Deterministic random views: which part of which photograph, decided before any pixel is read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.data.specs import Colour, Crops

MIN_CROP_PX = 16
"""No crop is smaller than this, unless the photograph is."""


@dataclass(frozen=True)
class Region:
    """A rectangle of a photograph of any size, maybe mirrored.

    area: share of the photograph's.  aspect: width / height in pixels, or, for one that keeps the
    photograph's shape, relative to the photograph's.  top, left: where in the space that is left
    over, 0 to 1.
    """

    photograph: int
    is_whole: bool
    area: float
    aspect: float
    top: float
    left: float
    is_flipped: bool
    keeps_shape: bool

    def bounds(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of it in a photograph of height × width pixels."""
        if self.is_whole:
            return slice(0, height), slice(0, width)
        aspect = self.aspect * width / height if self.keeps_shape else self.aspect
        side = math.sqrt(self.area * height * width)
        tall = min(height, max(MIN_CROP_PX, round(side / math.sqrt(aspect))))
        wide = min(width, max(MIN_CROP_PX, round(side * math.sqrt(aspect))))
        top, left = round(self.top * (height - tall)), round(self.left * (width - wide))
        return slice(top, top + tall), slice(left, left + wide)


@dataclass(frozen=True)
class Light:
    """Factors of brightness, contrast and saturation; 1 changes nothing."""

    brightness: float
    contrast: float
    saturation: float


@dataclass(frozen=True)
class Join:
    """A second region beside the first.  share: of the first.  is_stacked: one above the other."""

    other: Region
    share: float
    is_stacked: bool


@dataclass(frozen=True)
class View:
    """Everything needed to render one view at any size."""

    region: Region
    join: Join | None
    light: Light | None


def draw_view(crops: Crops, *, photograph: int, k: int, photographs: int) -> View:
    """View k of a photograph: a function of (seed, photograph, k) and how many there are."""
    random = np.random.default_rng((crops.seed, photograph, k))
    region = _draw_region(random, crops, photograph)
    join = None
    if random.random() < crops.joined_share:
        other = _draw_region(random, crops, int(random.integers(photographs)))
        join = Join(other, float(random.uniform(0.3, 0.7)), bool(random.random() < 0.5))
    return View(region, join, _draw_light(random, crops.colour))


def _draw_region(random: np.random.Generator, crops: Crops, photograph: int) -> Region:
    return Region(
        photograph,
        is_whole=bool(random.random() < crops.whole_share),
        area=float(random.uniform(*crops.area)),
        aspect=float(crops.aspect ** random.uniform(-1, 1)),
        top=float(random.random()),
        left=float(random.random()),
        is_flipped=bool(random.random() < crops.flip_share),
        keeps_shape=crops.shape == "photograph",
    )


def _draw_light(random: np.random.Generator, colour: Colour) -> Light | None:
    ranges = (colour.brightness, colour.contrast, colour.saturation)
    applies = random.random() < colour.share
    factors = [float(1 + r * random.uniform(-1, 1)) for r in ranges]
    return Light(*factors) if applies else None
