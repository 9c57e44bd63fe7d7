"""A photograph as thin clients send it: its bytes, and the media type they begin with."""

from __future__ import annotations

from pathlib import Path

from lorgnette.errors import InvalidImage

_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)


def media_type(photo: bytes) -> str:
    """The photograph's `Content-Type`, from its first bytes. Raises `InvalidImage`."""
    if photo[:4] == b"RIFF" and photo[8:12] == b"WEBP":
        return "image/webp"
    for signature, media in _SIGNATURES:
        if photo.startswith(signature):
            return media
    raise InvalidImage(
        "the photograph is not in a format we read (JPEG, PNG, WebP, BMP, TIFF, GIF): convert it"
        if photo
        else "the photograph is empty (0 bytes)"
    )


def photo_bytes(photo: Path | str | bytes) -> bytes:
    """The encoded photograph, read from its path if need be. Raises `InvalidImage`."""
    if isinstance(photo, bytes):
        return photo
    try:
        return Path(photo).read_bytes()
    except OSError as error:
        raise InvalidImage(f"{photo} cannot be read: {error.strerror}") from error
