"""Reading a photograph: everything that happens to pixels outside the ONNX graph.

The result is always uint8 RGB `[H, W, 3]`, sRGB, upright, alpha composited over white. Resizing
and scaling are inside the graph, so they can be neither forgotten nor done twice. Here an image
shrinks only by the JPEG decoder's own scaled decode, and never below `MIN_SIDE_PX`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from lorgnette.errors import ImageTooLarge, InvalidImage

ImageSource = Path | str | bytes | BinaryIO | Image.Image

MAX_PIXELS = 64_000_000
"""Default cap on width × height as the file's header states it, checked before decoding."""

MIN_SIDE_PX = 1024
"""A scaled JPEG decode never makes the shorter side smaller than this (cosine >= 0.9999)."""

# Named by the modules that read them: of a format it has not loaded, Pillow loads all forty.
_FORMATS = tuple(
    reader.format
    for reader in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        BmpImagePlugin.BmpImageFile,
        TiffImagePlugin.TiffImageFile,
        GifImagePlugin.GifImageFile,
    )
)
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
"""File name endings (lower case) an indexer takes for photographs."""

# What Pillow's parser raises on the EXIF blocks met in the wild.
_BROKEN_EXIF = (
    ArithmeticError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a photograph to uint8 RGB `[H, W, 3]`, sRGB and upright.

    source: a path, encoded bytes, a binary file, or a Pillow image.
    CMYK is converted with its embedded profile, else by Pillow's plain rule, which is also what
    browsers do; 16-bit grey keeps its upper 8 bits.

    Raises `ImageTooLarge` before decoding when the header states more than `max_pixels`, and
    `InvalidImage` for anything else that is not one complete still image of a supported format.
    """
    return read_pixels(source, max_pixels=max_pixels).copy()


def read_pixels(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """As `read_image`, but read-only: for who only looks, without a copy of its own."""
    name = _name_of(source)
    with _named_errors(name, max_pixels), _opened(source) as image:
        _refuse(image, name=name, max_pixels=max_pixels)
        return _to_srgb_array(image)


def upright_size(source: ImageSource) -> tuple[int, int]:
    """Height and width of the photograph as `read_image` gives it, from its header alone.

    A JPEG so large that its decoder shrinks it is reported unshrunk: of the same shape.
    Raises `InvalidImage` when there is no header we read.
    """
    with _named_errors(_name_of(source), MAX_PIXELS), _opened(source) as image:
        width, height = image.size
        # Pillow's TIFF reader states the upright size already.
        is_sideways = image.format != "TIFF" and _turn(image) in _SIDEWAYS
        return (width, height) if is_sideways else (height, width)


@contextmanager
def _named_errors(name: str, max_pixels: int) -> Iterator[None]:
    """Raise whatever Pillow says against an image as `InvalidImage`, with the image's name."""
    try:
        yield
    except InvalidImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"{name} has more pixels than the cap of {max_pixels:,}") from error
    except UnidentifiedImageError as error:
        raise InvalidImage(
            f"{name} is not an image we read (JPEG, PNG, WebP, BMP, TIFF, GIF): convert it first"
        ) from error
    # Pillow's plugins raise whatever their parsers hit on broken bytes: OSError, SyntaxError,
    # ValueError, struct.error, zlib.error, IndexError and more. None of them may reach the caller.
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InvalidImage(f"{name} cannot be read: {reason}") from error


def _name_of(source: ImageSource) -> str:
    if isinstance(source, str | Path):
        return str(source)
    return str(getattr(source, "name", "") or getattr(source, "filename", "") or "the image")


def _opened(source: ImageSource) -> Image.Image:
    if isinstance(source, Image.Image):
        return source.copy()
    if isinstance(source, bytes):
        if not source:
            raise InvalidImage("the image is empty (0 bytes)")
        return Image.open(io.BytesIO(source), formats=_FORMATS)
    if (
        isinstance(source, str | Path)
        and Path(source).is_file()
        and not Path(source).stat().st_size
    ):
        raise InvalidImage(f"{source} is empty (0 bytes)")
    return Image.open(source, formats=_FORMATS)


def _refuse(image: Image.Image, *, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{name} has {width} × {height} = {width * height:,} pixels, the cap is "
            f"{max_pixels:,}: make it smaller first"
        )
    # MPO is what many phones write for a plain photo: its further frames are depth or previews.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise InvalidImage(f"{name} is animated, not a photograph: save one frame of it")


def _to_srgb_array(image: Image.Image) -> NDArray[np.uint8]:
    profile = image.info.get("icc_profile")
    image.draft(image.mode, (MIN_SIDE_PX, MIN_SIDE_PX))
    image.load()
    image = _upright(image)
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype("u1"))
    if image.has_transparency_data:
        image = _over_white(image)
    if profile:
        image = _profile_to_srgb(image, profile)
    # `convert` copies an image that is RGB already.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    """Undo the camera's rotation. A broken EXIF block states none, as browsers see it too.

    Not `ImageOps.exif_transpose`: that also rewrites the EXIF, and fails where only that is broken.
    """
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _BROKEN_EXIF:
        return None
    return _TURNS.get(orientation) if isinstance(orientation, int) else None


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _profile_to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert to sRGB. An unreadable or ill-fitting profile is ignored, as browsers ignore it."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in (ImageCms.getProfileDescription(source) or ""):
            return image
        if image.mode not in ("RGB", "L", "CMYK"):
            image = image.convert("RGB")
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted if converted is not None else image
