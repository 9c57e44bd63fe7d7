"""Deterministic views, and the pixels they name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.photographs import crops
from training.data.augment import joint_size, render, squash
from training.data.crops import Join, Light, Region, View, draw_view
from training.data.specs import uncropped

CROPS = crops()


def test_a_view_depends_on_seed_photograph_and_number_alone() -> None:
    view = draw_view(CROPS, photograph=3, k=1, photographs=9)
    assert view == draw_view(CROPS, photograph=3, k=1, photographs=9)
    others = [
        draw_view(CROPS, photograph=3, k=0, photographs=9),
        draw_view(CROPS, photograph=2, k=1, photographs=9),
        draw_view(CROPS.model_copy(update={"seed": 99}), photograph=3, k=1, photographs=9),
    ]
    assert all(other != view for other in others)


def test_views_are_drawn_as_configured() -> None:
    views = [draw_view(CROPS, photograph=i, k=0, photographs=2000) for i in range(2000)]
    whole = np.mean([view.region.is_whole for view in views])
    joined = np.mean([view.join is not None for view in views])
    lit = np.mean([view.light is not None for view in views])
    assert whole == pytest.approx(CROPS.whole_share, abs=0.03)
    assert joined == pytest.approx(CROPS.joined_share, abs=0.03)
    assert lit == pytest.approx(CROPS.colour.share, abs=0.03)
    for view in views:
        assert CROPS.area[0] <= view.region.area <= CROPS.area[1]
        rows, columns = view.region.bounds(60, 40)
        assert 0 <= rows.start < rows.stop <= 60
        assert 0 <= columns.start < columns.stop <= 40


def test_a_crop_is_the_pixels_it_names() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    region = Region(
        0,
        is_whole=False,
        area=0.25,
        aspect=1.5,
        top=1.0,
        left=0.0,
        is_flipped=True,
        keeps_shape=False,
    )
    rows, columns = region.bounds(40, 60)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (20, 30)
    rendered = render(View(region, join=None, light=None), lambda _: pixels, height=24, width=24)
    direct = squash(pixels[20:40, 0:30], height=24, width=24).flip(-1)
    assert torch.equal(rendered, direct)


def test_neutral_light_changes_nothing_and_darkness_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    whole = Region(
        0, is_whole=True, area=1, aspect=1, top=0, left=0, is_flipped=False, keeps_shape=False
    )

    def lit(light: Light | None) -> torch.Tensor:
        return render(View(whole, join=None, light=light), lambda _: pixels, height=16, width=16)

    assert torch.equal(lit(Light(1.0, 1.0, 1.0)), lit(None))
    assert lit(Light(0.5, 1.0, 1.0)).float().mean() < lit(None).float().mean()


def test_a_crop_of_the_photographs_shape_keeps_its_aspect() -> None:
    region = Region(
        0, False, area=0.25, aspect=1.0, top=0, left=0, is_flipped=False, keeps_shape=True
    )
    rows, columns = region.bounds(400, 600)
    assert (rows.stop, columns.stop) == (200, 300)
    views = [
        draw_view(crops(shape="photograph", whole_share=0), photograph=i, k=0, photographs=50)
        for i in range(50)
    ]
    for view in views:
        rows, columns = view.region.bounds(4000, 6000)
        relative = (columns.stop - columns.start) / (rows.stop - rows.start) / 1.5
        assert 1 / 1.41 < relative < 1.41


def test_uncropped_is_every_photograph_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for photograph in range(20):
        view = draw_view(uncropped(), photograph=photograph, k=0, photographs=20)
        shown = render(view, lambda _: pixels, height=40, width=60)
        assert torch.equal(shown, torch.from_numpy(pixels).permute(2, 0, 1))


@pytest.mark.parametrize("is_stacked", [True, False])
def test_two_crops_share_a_batchs_shape_as_drawn(is_stacked: bool) -> None:
    def whole(photograph: int) -> Region:
        return Region(photograph, True, 1, 1, 0, 0, is_flipped=False, keeps_shape=False)

    view = View(whole(0), Join(whole(1), share=0.2, is_stacked=is_stacked), light=None)
    shown = render(
        view,
        lambda i: np.full((50, 70, 3), 40 + 100 * i, dtype=np.uint8),
        height=40,
        width=30,
    )
    expected = torch.full((3, 40, 30), 140, dtype=torch.uint8)
    if is_stacked:
        expected[:, :8] = 40
    else:
        expected[:, :, :6] = 40
    assert torch.equal(shown, expected)


@pytest.mark.parametrize(
    ("aspect", "size"), [(1, (90, 90)), (1.5, (60, 90)), (2 / 3, (90, 60)), (200, (1, 90))]
)
def test_the_longer_side_of_a_batch_is_its_size(aspect: float, size: tuple[int, int]) -> None:
    assert joint_size(aspect, size_px=90) == size
