from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.golden import golden_images, png_bytes
from export.samples import MAX_PHOTOGRAPHS, photograph_samples, scene
from lorgnette.errors import InvalidConfiguration
from lorgnette.image import read_image


def write_photographs(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(scene(20, 30 + index, seed=index)).save(folder / f"{index:03}.png")


def test_a_seed_always_gives_the_same_scene() -> None:
    np.testing.assert_array_equal(scene(31, 47, seed=3), scene(31, 47, seed=3))
    assert (scene(31, 47, seed=3) != scene(31, 47, seed=4)).any()


def test_golden_images_survive_their_png() -> None:
    for pixels in golden_images().values():
        encoded = png_bytes(pixels)
        assert len(encoded) < 32_000
        np.testing.assert_array_equal(read_image(encoded), pixels)


def test_photographs_are_spread_over_the_folder(tmp_path: Path) -> None:
    write_photographs(tmp_path / "deep" / "er", 2 * MAX_PHOTOGRAPHS)
    widths = [sample().shape[1] for sample in photograph_samples(tmp_path)]
    assert len(widths) == MAX_PHOTOGRAPHS
    assert (widths[0], widths[-1]) == (30, 30 + 2 * MAX_PHOTOGRAPHS - 1)


def test_an_unreadable_photograph_is_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_photographs(tmp_path, 20)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a photograph")
    assert len(photograph_samples(tmp_path)) == 20
    assert "broken.jpg" in str(caplog.records[0].__dict__["path"])


def test_too_few_photographs_are_refused(tmp_path: Path) -> None:
    write_photographs(tmp_path, 19)
    with pytest.raises(InvalidConfiguration, match="at least 20 readable photographs"):
        photograph_samples(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="found no"):
        photograph_samples(tmp_path / "nowhere")
