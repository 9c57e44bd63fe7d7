"""What of a photograph is asked with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorgnette.errors import (
    InvalidImage,
)
from training.data.public.layout import Box
from training.evaluation.shots import Shot, read_shot


def test_a_box_counts_pixels_of_the_upright_photograph(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    image, exif = Image.fromarray(np.rot90(pixels)), Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    shot = read_shot(Shot(tmp_path / "turned.png", Box(10, 5, 35, 20)))
    np.testing.assert_array_equal(shot.pixels, pixels[5:20, 10:35])
    assert shot.share == pytest.approx(25 / 50)


def test_a_box_follows_a_photograph_that_is_decoded_smaller(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 4400).astype(np.uint8)[None, :, None], (2200, 1, 3))
    Image.fromarray(ramp).save(tmp_path / "large.jpg", quality=95)
    crop = read_shot(Shot(tmp_path / "large.jpg", Box(1100, 0, 2200, 1100))).pixels
    assert crop.shape == (550, 550, 3)
    assert int(crop[:, 0].mean()) == pytest.approx(ramp[0, 1100, 0], abs=2)


def test_a_box_outside_the_photograph_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    with pytest.raises(InvalidImage, match="holds no pixel of its 20 × 20"):
        read_shot(Shot(tmp_path / "small.png", Box(30, 30, 40, 40)))
