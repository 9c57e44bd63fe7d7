"""Reading photographs: every kind gives the pixels a viewer shows, or one clear refusal."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from lorgnette.errors import ImageTooLarge, InvalidImage
from lorgnette.image import (
    EXTENSIONS,
    MAX_PIXELS,
    MIN_SIDE_PX,
    read_image,
    read_pixels,
    upright_size,
)
from tests.sdk.icc import ADOBE, P3, profile

ORIENTATION = 0x0112


def smooth(width: int = 240, height: int = 160, *, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


PHOTO = smooth()
PIXELS = np.asarray(PHOTO)


def stored_as(orientation: int, upright: np.ndarray) -> np.ndarray:
    """The pixels a camera held that way writes, from the EXIF table (row 0 and column 0 are)."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_every_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(stored_as(orientation, PIXELS)))
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}
    content = encoded(stored, kind, exif=exif, **options.get(kind, {}))
    found = read_image(content)
    assert found.shape == PIXELS.shape
    assert upright_size(content) == PIXELS.shape[:2]
    error = np.abs(found.astype(int) - PIXELS)
    assert error.max() <= (8 if kind == "JPEG" else 0)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_upright(value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    np.testing.assert_array_equal(read_image(encoded(PHOTO, "PNG", exif=exif)), PIXELS)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "block",
    [b"Exif\0\0garbage garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03", b"Exif\0\0"],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_broken_exif_block_does_not_cost_the_photo(block: bytes, kind: str) -> None:
    assert read_image(encoded(PHOTO, kind, exif=block)).shape == PIXELS.shape
    assert upright_size(encoded(PHOTO, kind, exif=block)) == PIXELS.shape[:2]


def test_the_size_is_read_from_the_header_alone() -> None:
    content = encoded(PHOTO, "JPEG")
    assert upright_size(content[: len(content) // 2]) == PIXELS.shape[:2]
    with pytest.raises(InvalidImage, match="not an image we read"):
        upright_size(b"<html>not found</html>")


SRGB = [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]


def to_srgb(pixels: np.ndarray, colorants: list[list[float]], gamma: float) -> np.ndarray:
    """The definition: linearise, to XYZ, to linear sRGB, clip, IEC 61966-2-1 curve."""
    linear = (pixels / 255.0) ** gamma @ np.array(colorants) @ np.linalg.inv(np.array(SRGB))
    linear = linear.clip(0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return 255 * curved


@pytest.mark.parametrize(("colorants", "gamma"), [(ADOBE, 563 / 256), (P3, 2.2)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_wide_gamut_photo_becomes_srgb(
    colorants: list[list[float]], gamma: float, kind: str
) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(PHOTO, kind, icc_profile=profile(colorants, gamma), **options)
    expected = to_srgb(PIXELS, colorants, gamma)
    assert np.abs(expected - PIXELS).max() > 15
    assert np.abs(read_image(content) - expected).max() <= 2.5


def test_an_srgb_profile_changes_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(read_image(encoded(PHOTO, "PNG", icc_profile=srgb)), PIXELS)


@pytest.mark.parametrize("broken", [b"nonsense", b"", bytes(200), profile(ADOBE, 2.2)[:150]])
def test_an_unreadable_profile_is_ignored(broken: bytes) -> None:
    np.testing.assert_array_equal(read_image(encoded(PHOTO, "PNG", icc_profile=broken)), PIXELS)


def over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return pixels * share + 255 * (1 - share)


def test_alpha_is_composited_over_white() -> None:
    alpha = np.tile(np.linspace(0, 255, PIXELS.shape[1]).astype(np.uint8), (PIXELS.shape[0], 1))
    image = Image.fromarray(np.dstack([PIXELS, alpha]))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        found = read_image(encoded(image, kind, **options))
        assert np.abs(found - over_white(PIXELS, alpha)).max() <= 1


def test_alpha_of_a_grey_photo_is_composited_over_white() -> None:
    grey = PHOTO.convert("L")
    image = Image.merge("LA", [grey, Image.new("L", grey.size, 0)])
    assert (read_image(encoded(image, "PNG")) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparency_of_a_palette_is_white(kind: str) -> None:
    image = Image.new("P", (20, 10), 1)
    image.putpalette([0, 0, 0, 200, 10, 30] + [0] * 762)
    image.paste(0, (0, 0, 10, 10))
    found = read_image(encoded(image, kind, transparency=0))
    assert (found[:, :10] == 255).all()
    assert (found[:, 10:] == (200, 10, 30)).all()


def test_transparency_by_palette_table_is_blended() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 100, 0, 0] + [0] * 762)
    found = read_image(encoded(image, "PNG", transparency=bytes([255, 128] + [255] * 254)))
    assert np.abs(found[0, 0] - np.array([177, 127, 127])).max() <= 1


def test_grey_becomes_three_equal_channels() -> None:
    grey = np.asarray(PHOTO.convert("L"))
    for kind in ("PNG", "TIFF", "BMP"):
        found = read_image(encoded(PHOTO.convert("L"), kind))
        np.testing.assert_array_equal(found, np.dstack([grey] * 3))


def test_one_bit_is_black_and_white() -> None:
    found = read_image(encoded(PHOTO.convert("1"), "PNG"))
    assert set(np.unique(found)) == {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_upper_eight_bits(kind: str) -> None:
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    found = read_image(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(found, np.dstack([values >> 8] * 3))


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_sixteen_bit_colour_is_read() -> None:
    values = np.random.default_rng(3).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    found = read_image(png(7, 5, depth=16, colour=2, rows=rows))
    assert np.abs(found.astype(int) - (values >> 8)).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb_by_the_plain_rule(kind: str) -> None:
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    found = read_image(encoded(PHOTO.convert("CMYK"), kind, **options))
    assert np.abs(found.astype(int) - PIXELS).max() <= 8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_is_refused(kind: str) -> None:
    frames = [smooth(seed=1), smooth(seed=2)]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(InvalidImage, match="animated"):
        read_image(content)


def test_the_phones_mpo_is_its_first_picture() -> None:
    frames = [smooth(seed=1), smooth(seed=2)]
    content = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=95)
    assert np.abs(read_image(content).astype(int) - np.asarray(frames[0])).mean() < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_truncation_is_refused(kind: str) -> None:
    content = encoded(PHOTO, kind)
    for length in (1, 7, 40, len(content) // 2, len(content) * 9 // 10):
        with pytest.raises(InvalidImage):
            read_image(content[:length])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_damaged_bytes_give_pixels_or_an_invalid_image(kind: str) -> None:
    """A small fuzzer: nothing but InvalidImage may come out of Pillow's parsers."""
    content = encoded(smooth(48, 32), kind)
    rng = np.random.default_rng(11)
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 4):
            damaged[place] = rng.integers(0, 256)
        try:
            found = read_image(bytes(damaged), max_pixels=1_000_000)
        except InvalidImage:
            continue
        assert found.dtype == np.uint8
        assert found.shape[2] == 3


def test_nothing_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for source in (b"", tmp_path / "empty.jpg", str(tmp_path / "empty.jpg")):
        with pytest.raises(InvalidImage, match="empty"):
            read_image(source)
    with pytest.raises(InvalidImage):
        read_image(io.BytesIO(b""))


@pytest.mark.parametrize("content", [b"hello " * 99, b"%PDF-1.7\n" * 9, b"<svg/>", b"\0" * 999])
def test_what_is_no_image_names_what_is(content: bytes) -> None:
    with pytest.raises(InvalidImage, match="JPEG, PNG, WebP"):
        read_image(content)


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jpg"):
        with pytest.raises(InvalidImage, match=str(path)):
            read_image(path)


@pytest.mark.parametrize("side", [8_001, 10_000, 65_000])
def test_a_bomb_is_refused_from_its_header(side: int) -> None:
    bomb = png(side, side, depth=8, colour=2, rows=bytes(1000))
    begun = time.process_time()
    with pytest.raises(ImageTooLarge, match="64,000,000"):
        read_image(bomb)
    assert time.process_time() - begun < 0.5


def test_the_cap_is_inclusive_and_the_callers() -> None:
    content = encoded(PHOTO, "PNG")
    assert read_image(content, max_pixels=240 * 160).shape == PIXELS.shape
    with pytest.raises(ImageTooLarge, match="240 × 160 = 38,400"):
        read_image(content, max_pixels=240 * 160 - 1)
    assert MAX_PIXELS == 64_000_000


def boxed(pixels: np.ndarray, side: int = 64) -> np.ndarray:
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_shrinks_in_its_decoder_without_changing_what_is_seen(
    orientation: int,
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    upright = np.asarray(smooth(4400, 2200))
    stored = Image.fromarray(np.ascontiguousarray(stored_as(orientation, upright)))
    found = read_image(encoded(stored, "JPEG", quality=95, exif=exif))
    assert found.shape == (1100, 2200, 3)
    assert min(found.shape[:2]) >= MIN_SIDE_PX
    assert np.abs(boxed(found) - boxed(upright)).mean() < 1


@pytest.mark.parametrize("size", [(2047, 2047), (4000, 1500), (1024, 1024)])
def test_no_jpeg_shrinks_below_the_least_side(size: tuple[int, int]) -> None:
    found = read_image(encoded(smooth(*size), "JPEG"))
    assert found.shape == (size[1], size[0], 3)


def test_a_large_png_is_not_shrunk() -> None:
    assert read_image(encoded(smooth(2300, 2200), "PNG", compress_level=0)).shape[0] == 2200


def test_every_source_of_one_photo_gives_the_same_pixels(tmp_path: Path) -> None:
    content = encoded(PHOTO, "PNG")
    (tmp_path / "a.png").write_bytes(content)
    with Image.open(io.BytesIO(content)) as image, (tmp_path / "a.png").open("rb") as file:
        sources = [content, tmp_path / "a.png", str(tmp_path / "a.png"), io.BytesIO(content)]
        for source in (*sources, file, image, PHOTO):
            np.testing.assert_array_equal(read_image(source), PIXELS)


def test_a_callers_pillow_image_is_left_as_it_was() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    with Image.open(io.BytesIO(encoded(PHOTO, "JPEG", exif=exif))) as image:
        assert read_image(image).shape == (240, 160, 3)
        assert image.size == (240, 160)
        assert image.getexif()[ORIENTATION] == 6


def test_the_pixels_are_the_callers_to_change() -> None:
    found = read_image(encoded(PHOTO, "PNG"))
    assert found.flags.writeable
    assert found.flags.c_contiguous


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_who_only_looks_gets_the_same_pixels(mode: str) -> None:
    content = encoded(PHOTO.convert(mode), "PNG")
    found = read_pixels(content)
    np.testing.assert_array_equal(found, read_image(content))
    assert found.flags.c_contiguous
    assert not found.flags.writeable


def test_every_listed_extension_is_of_a_format_that_is_read(tmp_path: Path) -> None:
    write: Callable[[Path], None] = PHOTO.save
    for extension in EXTENSIONS:
        write(tmp_path / f"photo{extension}")
        assert read_image(tmp_path / f"photo{extension}").shape == PIXELS.shape
