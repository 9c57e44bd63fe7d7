"""Images made to hurt, and odd ones that are photographs all the same. Made anew, never stored."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8))
FRAMES = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
MIB = 1024 * 1024
# Headers alone.
BMP = b"BM" + struct.pack("<IIIIiiHHIIiiII", 100, 0, 54, 40, 65_535, 65_535, 1, 24, *[0] * 6)
PSD = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3) + bytes(12)
GIF = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2"
WEBP = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def zeros(count: int) -> bytes:
    """A zlib stream of so many zeros, without going through all of them.

    A block ends in a full flush, so that it may be repeated; the checksum of zeros is their count.
    """
    parts = [b"\x78\xda"]
    for size, times in ((MIB, count // MIB), (count % MIB, 1)):
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        block = deflate.compress(bytes(size)) + deflate.flush(zlib.Z_FULL_FLUSH)
        parts += [block] * times
    return b"".join(parts) + b"\x03\0" + struct.pack(">I", count % 65_521 << 16 | 1)


def png(width: int, height: int, *, ahead: bytes = b"", rows: int | None = None) -> bytes:
    """A black grey-level PNG; ahead: chunks before its pixels; rows: so many are there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zeros((width + 1) * (height if rows is None else rows))
    body = chunk(b"IHDR", header) + ahead + chunk(b"IDAT", pixels)
    return PNG_SIGNATURE + body + chunk(b"IEND", b"")


def jpeg_stating(width: int, height: int) -> bytes:
    """A small JPEG whose frame header states another size."""
    whole = bytearray(encoded(NOISE, "JPEG"))
    frame = whole.index(b"\xff\xc0")
    whole[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(whole)


def exif(entries: bytes, *, count: int, following: int = 0) -> bytes:
    """A TIFF header and one directory of raw 12-byte entries."""
    directory = struct.pack("<H", count) + entries + struct.pack("<I", following)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory


def with_exif(block: bytes) -> bytes:
    return encoded(NOISE, "JPEG", exif=block)


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def zeros_inside(kind: bytes, prefix: bytes) -> bytes:
    """A PNG with a chunk of 100 MiB, compressed a thousand times."""
    return png(16, 16, ahead=chunk(kind, prefix + zeros(100 * MIB)))


def bigtiff_stating(width: int, height: int) -> bytes:
    entries = entry(256, 4, 1, width) + entry(257, 4, 1, height) + entry(258, 3, 1, 8)
    entries += entry(259, 3, 1, 1) + entry(262, 3, 1, 1) + entry(273, 4, 1, 8)
    entries += entry(277, 3, 1, 1) + entry(278, 4, 1, height) + entry(279, 4, 1, 2**31)
    return exif(entries, count=9)[6:]


JPEG, STILL = encoded(NOISE, "JPEG"), encoded(NOISE, "PNG")
SEVERAL = {"save_all": True, "append_images": FRAMES[1:]}
LOOPING = exif(entry(0x8769, 4, 1, 8), count=1, following=8)
GREY = np.random.default_rng(0).integers(0, 2**16, (50, 50), dtype=np.uint16)

REFUSED: dict[str, Callable[[], bytes]] = {
    "PNG of 30,000 x 30,000, whole": lambda: png(30_000, 30_000),
    "PNG stating 65,535 x 65,535": lambda: png(65_535, 65_535, rows=1),
    "PNG stating 2^31 - 1 x 1": lambda: png(2**31 - 1, 1, rows=0),
    "PNG stating 0 x 0": lambda: png(0, 0),
    "JPEG stating 65,535 x 65,535": lambda: jpeg_stating(65_535, 65_535),
    "JPEG stating 65,500 x 0": lambda: jpeg_stating(65_500, 0),
    "TIFF stating 65,535 x 65,535": lambda: bigtiff_stating(65_535, 65_535),
    "BMP stating 65,535 x 65,535": lambda: BMP,
    "GIF stating 65,535 x 65,535": lambda: GIF,
    "WebP stating 16,384 x 16,384": lambda: WEBP,
    "truncated JPEG": lambda: JPEG[: len(JPEG) // 2],
    "truncated PNG": lambda: STILL[: len(STILL) // 2],
    "truncated TIFF": lambda: encoded(NOISE, "TIFF")[:5000],
    "truncated WebP": lambda: encoded(NOISE, "WEBP", quality=99)[:600],
    "a PNG's signature alone": lambda: PNG_SIGNATURE,
    "a JPEG's first bytes alone": lambda: b"\xff\xd8\xff",
    "animated GIF": lambda: encoded(FRAMES[0], "GIF", **SEVERAL),
    "animated WebP": lambda: encoded(FRAMES[0], "WEBP", **SEVERAL),
    "animated PNG": lambda: encoded(FRAMES[0], "PNG", **SEVERAL),
    "TIFF of several pages": lambda: encoded(FRAMES[0], "TIFF", **SEVERAL),
    "SVG": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "SVG of entities": lambda: b"<!DOCTYPE x [<!ENTITY a 'a'><!ENTITY b '&a;&a;'>]><svg>&b;</svg>",
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "PDF": lambda: b"%PDF-1.4\n%%EOF",
    "ICO": lambda: encoded(NOISE, "ICO"),
    "PSD": lambda: PSD,
    "PPM": lambda: encoded(NOISE, "PPM"),
    "TGA": lambda: encoded(NOISE, "TGA"),
    "PNG with 100 MiB inside iCCP": lambda: zeros_inside(b"iCCP", b"x\0\0"),
    "PNG with 100 MiB inside zTXt": lambda: zeros_inside(b"zTXt", b"x\0\0"),
    "PNG with 100 MiB inside iTXt": lambda: zeros_inside(b"iTXt", b"x\0\1\0\0\0"),
    "50 MB of zeros": lambda: bytes(50_000_000),
    "16 MiB of zeros": lambda: bytes(16 * MIB),
    "nothing": lambda: b"",
    "one byte": lambda: b"\0",
    "text": lambda: b"hello",
}
"""None of them is one still photograph of a size that is allowed."""

TAKEN: dict[str, Callable[[], bytes]] = {
    "EXIF orientation 99": lambda: with_exif(exif(entry(0x0112, 3, 1, 99), count=1)),
    "EXIF orientation of 4 GiB": lambda: with_exif(exif(entry(0x0112, 3, 2**32 - 1, 8), count=1)),
    "EXIF directory that holds itself": lambda: with_exif(LOOPING),
    "EXIF of 65,535 entries that are missing": lambda: with_exif(exif(b"", count=65_535)),
    "EXIF of 60 KB": lambda: with_exif(exif(entry(0x0112, 3, 1, 1) * 5000, count=5000)),
    "EXIF of zeros": lambda: with_exif(b"Exif\0\0" + bytes(5000)),
    "CMYK JPEG": lambda: encoded(NOISE.convert("CMYK"), "JPEG"),
    "16-bit PNG": lambda: encoded(Image.fromarray(GREY), "PNG"),
    "PNG with an ICC profile of zeros": lambda: encoded(NOISE, "PNG", icc_profile=bytes(5000)),
    "1 x 1 PNG": lambda: png(1, 1),
    "1 x 60,000 PNG": lambda: png(1, 60_000),
    "one bit a pixel": lambda: encoded(NOISE.convert("1"), "TIFF"),
}
"""Photographs, whatever else is in them."""
