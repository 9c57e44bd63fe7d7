"""A trained run as an encoder: the bundle's squash, and the published sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lorgnette.errors import InvalidBundle
from training.data.public.layout import Box
from training.evaluation.encoders import open_encoder
from training.evaluation.run_encoder import keep_aspect
from training.evaluation.shots import Pixels, Shot, read_shot


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "share", "expected"),
    [
        (300, 600, 1.0, (50, 100)),  # the longer side becomes 100
        (600, 300, 1.0, (100, 50)),
        (300, 200, 0.5, (50, 33)),  # a crop of half the photograph's side becomes half of 100
        (40, 30, 1.0, (40, 30)),  # never enlarged
        (20, 10, 0.1, (10, 5)),
        (1, 900, 1.0, (1, 100)),
    ],
)
def test_the_longer_side_follows_the_whole_photograph(
    height: int, width: int, share: float, expected: tuple[int, int]
) -> None:
    resized = keep_aspect(Pixels(_noise(height, width), share), image_size=100)
    assert tuple(resized.shape) == (3, *expected)
    assert resized.dtype == torch.uint8


def test_what_a_crop_shows_has_the_size_it_has_in_the_whole(tmp_path: Path) -> None:
    Image.fromarray(_noise(200, 400)).save(tmp_path / "a.png")
    whole = read_shot(Shot(tmp_path / "a.png", None))
    crop = read_shot(Shot(tmp_path / "a.png", Box(100, 0, 300, 200)))
    large, small = keep_aspect(whole, image_size=100), keep_aspect(crop, image_size=100)
    assert tuple(large.shape[1:]) == (50, 100)
    assert tuple(small.shape[1:]) == (50, 50)
    # Away from the cut edges the same pixels were averaged.
    torch.testing.assert_close(
        small[:, 5:-5, 5:-5].float(), large[:, 5:-5, 30:70].float(), atol=1.0, rtol=0
    )


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidBundle, match="holds no trained model"):
        open_encoder(tmp_path, multi_scale=None)
