"""A bundle at work: the same vector for the same photograph, from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import GoldenMismatch, ImageTooLarge, InvalidBundle, InvalidImage
from lorgnette.image import read_image
from tests.tiny_bundle import _entry, write_tiny_bundle


def test_a_photo_becomes_one_unit_row(student: Bundle, photos: list[Path]) -> None:
    row = Encoder(student).encode(photos[0])
    assert (row.shape, row.dtype) == ((student.space.dim,), np.float32)
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-6)


def test_a_path_bytes_a_file_and_pixels_give_the_same_row(
    student: Bundle, photos: list[Path]
) -> None:
    encoder = Encoder(student)
    expected = encoder.encode(photos[0])
    with photos[0].open("rb") as file, Image.open(photos[0]) as image:
        for source in (str(photos[0]), photos[0].read_bytes(), file, image):
            np.testing.assert_array_equal(encoder.encode(source), expected)
    np.testing.assert_array_equal(encoder.encode_pixels(read_image(photos[0])), expected)


def test_threads_get_the_rows_a_single_thread_gets(student: Bundle, photos: list[Path]) -> None:
    expected = {photo: Encoder(student).encode(photo) for photo in photos}
    encoder = Encoder(student)
    with ThreadPoolExecutor(8) as pool:
        for photo, row in zip(photos * 8, pool.map(encoder.encode, photos * 8), strict=True):
            np.testing.assert_array_equal(row, expected[photo])


def test_any_size_of_image_is_taken(student: Bundle) -> None:
    encoder = Encoder(student)
    for height, width in ((1, 1), (1, 900), (900, 1), (16, 16), (33, 17)):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert np.isfinite(encoder.encode_pixels(pixels)).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_pixels_of_another_kind_are_refused(student: Bundle, pixels: np.ndarray) -> None:
    with pytest.raises(InvalidImage, match=r"uint8 pixels \[H, W, 3\]"):
        Encoder(student).encode_pixels(pixels)


def test_pixels_need_not_be_contiguous(student: Bundle, photos: list[Path]) -> None:
    encoder, pixels = Encoder(student), read_image(photos[0])
    np.testing.assert_array_equal(
        encoder.encode_pixels(pixels[:, ::-1]), encoder.encode_pixels(pixels[:, ::-1].copy())
    )


def test_the_cap_on_pixels_is_the_encoders(student: Bundle, photos: list[Path]) -> None:
    with pytest.raises(ImageTooLarge, match="the cap is 1,000"):
        Encoder(student, max_pixels=1000).encode(photos[0])


@pytest.fixture
def liar(tmp_path: Path) -> Bundle:
    """A sound bundle whose model is another than the one its golden vectors came from."""
    bundle = write_tiny_bundle(tmp_path / "liar", role="query")
    other = write_tiny_bundle(tmp_path / "other", role="query", space_seed=9)
    (bundle.directory / "model.onnx").write_bytes((other.directory / "model.onnx").read_bytes())
    files = {"fp32": _entry(bundle.directory, "model.onnx")}
    manifest = bundle.manifest.model_copy(update={"files": files})
    (bundle.directory / MANIFEST_NAME).write_text(manifest.dump())
    return Bundle.open(bundle.directory)


def test_a_model_that_misses_its_golden_vectors_embeds_nothing(
    liar: Bundle, photos: list[Path]
) -> None:
    encoder = Encoder(liar)
    for _ in range(2):
        with pytest.raises(GoldenMismatch, match=r"cosine -?0\.\d+ on golden/noise\.png"):
            encoder.encode(photos[0])


def test_a_file_that_is_no_model_is_an_invalid_bundle(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", role="query")
    (bundle.directory / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(InvalidBundle, match="cannot load"):
        Encoder(bundle)


def test_a_variant_that_is_no_encoder_is_refused(student: Bundle) -> None:
    with pytest.raises(InvalidBundle, match="not an encoder"):
        Encoder(student, variant="net")
    with pytest.raises(InvalidBundle, match="only fp32"):
        Encoder(student, variant="int8")
