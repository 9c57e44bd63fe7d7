from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from PIL import Image

from service.demo.photographs import MAX_GALLERY_SEED, PHOTOGRAPHS, VIEWS, gallery_size
from service.demo.views import MAX_SIDE_PX, ViewKind, _homography, make_view

KINDS: tuple[ViewKind, ...] = get_args(ViewKind)


def photo(width: int = 160, height: int = 120, seed: int = 3) -> Image.Image:
    """Smooth colours, so that a view differs from another by more than resampling noise."""
    coarse = np.random.default_rng(seed).integers(40, 216, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_depends_only_on_the_photograph_its_kind_and_its_seed(kind: ViewKind) -> None:
    first = np.asarray(make_view(photo(), (kind,), seed=5))
    np.testing.assert_array_equal(first, np.asarray(make_view(photo(), (kind,), seed=5)))
    other = make_view(photo(), (kind,), seed=6)
    assert other.size != first.shape[1::-1] or not np.array_equal(first, np.asarray(other))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_a_view_invents_no_border(kind: ViewKind, seed: int) -> None:
    # Pillow fills what lies outside the photograph with black; light never makes this grey black.
    view = np.asarray(make_view(Image.new("RGB", (161, 97), (200, 180, 160)), (kind,), seed=seed))
    assert view.min() > 20


def test_the_homography_maps_each_target_corner_to_its_source_corner() -> None:
    target = np.array([[0, 0], [100, 0], [100, 80], [0, 80]], dtype=np.float64)
    source = np.array([[10, 5], [90, 12], [84, 70], [3, 66]], dtype=np.float64)
    a, b, c, d, e, f, g, h = _homography(target, source)
    for (x, y), expected in zip(target, source, strict=True):
        scale = g * x + h * y + 1
        found = ((a * x + b * y + c) / scale, (d * x + e * y + f) / scale)
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_huge_photograph_becomes_a_view_of_bounded_size() -> None:
    assert max(make_view(photo(4000, 3000), ("light",), seed=1).size) == MAX_SIDE_PX


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "RGB"])
def test_every_mode_of_photograph_gives_an_rgb_view(mode: str) -> None:
    assert make_view(photo().convert(mode), KINDS, seed=1).mode == "RGB"


def test_a_photograph_of_one_pixel_has_views() -> None:
    assert make_view(Image.new("RGB", (1, 1), "red"), KINDS, seed=1).size == (1, 1)


def test_the_seeds_of_the_gallery_end_below_those_of_the_queries() -> None:
    assert len(PHOTOGRAPHS) * len(VIEWS) == MAX_GALLERY_SEED
    assert gallery_size() == len(PHOTOGRAPHS) + MAX_GALLERY_SEED
