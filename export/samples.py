"""What an export is verified on: synthetic scenes, or a folder of photographs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration, InvalidImage
from lorgnette.image import EXTENSIONS, read_image

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

Sample = Callable[[], Pixels]
"""Makes or reads one image `[H, W, 3]`, so that only one is in memory at a time."""

MIN_PHOTOGRAPHS = 20
MAX_PHOTOGRAPHS = 48

MAX_CALIBRATION = 96
"""More of them do not move the percentiles; each costs a tenth of a second."""

# 1-pixel sides, extreme aspects, squares, odd numbers, and the sizes of ordinary photographs.
SIZES = (
    *((1, 1), (1, 257), (300, 1), (2, 900), (16, 16), (37, 53), (60, 1200), (1500, 64)),
    *((128, 128), (224, 224), (260, 260), (225, 223), (256, 320), (333, 500), (500, 333)),
    *((375, 500), (480, 640), (640, 480), (600, 400), (768, 1024), (1024, 768), (720, 1280)),
    *((1080, 1440), (997, 1503)),
)
"""Height and width of the synthetic scenes."""


def scene(height: int, width: int, *, seed: int) -> Pixels:
    """Seeded uint8 `[height, width, 3]`: a shaded background, five discs and a set of stripes.

    Smooth with a few hard edges, so that an antialiased resize has something to get wrong.
    """
    rng = np.random.default_rng(seed)
    y = np.linspace(0, 1, height)[:, None, None]
    x = np.linspace(0, 1, width)[None, :, None]
    top_left, top_right, bottom_left, bottom_right = rng.uniform(40, 215, (4, 3))
    top, bottom = (1 - x) * top_left + x * top_right, (1 - x) * bottom_left + x * bottom_right
    image = (1 - y) * top + y * bottom
    for _ in range(5):
        (centre_y, centre_x), radius = rng.uniform(0, 1, 2), rng.uniform(0.08, 0.3)
        inside = (y - centre_y) ** 2 + (x - centre_x) ** 2 < radius**2
        image = np.where(inside, rng.uniform(0, 255, 3), image)
    bands = np.floor((x + y) * rng.integers(9, 25)) % 2 > 0
    image = np.where(bands & (np.abs(x - 0.7) < 0.12), rng.uniform(0, 255, 3), image)
    pixels: Pixels = np.round(image).astype(np.uint8)
    return pixels


def synthetic_samples() -> list[Sample]:
    """One scene of each of the `SIZES`."""
    return [_scene_sample(height, width, seed) for seed, (height, width) in enumerate(SIZES)]


def _scene_sample(height: int, width: int, seed: int) -> Sample:
    return lambda: scene(height, width, seed=seed)


def photograph_samples(folder: Path) -> list[Sample]:
    """Up to `MAX_PHOTOGRAPHS` readable photographs below a folder, evenly spread over its names.

    Unreadable files are skipped and logged. Raises `InvalidConfiguration` for fewer than
    `MIN_PHOTOGRAPHS`, or when there is no such folder.
    """
    if not folder.is_dir():
        raise InvalidConfiguration(f"--photos: expected a folder of photographs, found no {folder}")
    return _spread(
        folder,
        MAX_PHOTOGRAPHS,
        option="--photos",
        way_out="give a larger folder, or leave --photos out for synthetic images",
    )


def calibration_samples(folder: Path) -> list[Sample]:
    """Up to `MAX_CALIBRATION` readable photographs below a folder, evenly spread over its names.

    Raises `InvalidConfiguration` for fewer than `MIN_PHOTOGRAPHS`, or when there is no such folder.
    """
    return _spread(
        folder,
        MAX_CALIBRATION,
        option="--calibration",
        way_out="give a folder of photographs like those that will be asked",
    )


def _spread(folder: Path, most: int, *, option: str, way_out: str) -> list[Sample]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
    found = [path for path in _evenly(paths, most) if _is_readable(path)]
    if len(found) < MIN_PHOTOGRAPHS:
        raise InvalidConfiguration(
            f"{option}: expected at least {MIN_PHOTOGRAPHS} readable photographs in {folder}, "
            f"found {len(found)}: {way_out}"
        )
    return [_photograph_sample(path) for path in found]


def _photograph_sample(path: Path) -> Sample:
    return lambda: read_image(path)


def _evenly(paths: Sequence[Path], count: int) -> list[Path]:
    if len(paths) <= count:
        return list(paths)
    return [paths[round(index * (len(paths) - 1) / (count - 1))] for index in range(count)]


def _is_readable(path: Path) -> bool:
    try:
        read_image(path)
    except InvalidImage as error:
        log.warning("skipped", extra={"path": str(path), "reason": str(error)})
        return False
    return True
