"""Small pictures of the items, for who shows results: made when asked for, the last ones kept."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from PIL import Image
from PIL import __version__ as pillow_version

from lorgnette.errors import InvalidImage, NotFound
from lorgnette.image import read_image
from lorgnette.text import quoted
from service.gallery.catalogue import Catalogue
from service.gallery.photographs import Original, original

MEDIA_TYPE = "image/jpeg"
SIDE_PX = 320
"""The longer side, unless the photograph is smaller."""

_QUALITY = 82
_CACHE_BYTES = 32 * 1024 * 1024
# What would change the bytes that come of the same photograph.
_RECIPE = f"1 {SIDE_PX} {_QUALITY} {pillow_version}"


@dataclass(frozen=True)
class Found:
    """A photograph that is there, and the strong entity tag of its thumbnail, without quotes."""

    original: Original
    tag: str

    @classmethod
    def of(cls, catalogue: Catalogue, data: Path, item_id: str) -> Self:
        """Look an item's photograph up, without decoding it; blocking. Raises `NotFound`."""
        there = original(catalogue, data, item_id)
        with there.opened():
            pass
        stamp = there.stamp
        recipe = f"{_RECIPE}\n{there.source}\n{stamp.size}\n{stamp.mtime_ns}"
        return cls(original=there, tag=hashlib.sha256(recipe.encode()).hexdigest()[:32])


class Thumbnails:
    """Makes thumbnails and keeps the last ones in memory, up to `cache_bytes`. Thread-safe."""

    def __init__(self, *, max_pixels: int, cache_bytes: int = _CACHE_BYTES) -> None:
        self._max_pixels = max_pixels
        self._free = cache_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, found: Found) -> bytes:
        """The thumbnail as JPEG: upright, sRGB, over white, without metadata; blocking.

        Raises `NotFound` for a photograph that is gone or can no longer be decoded.
        """
        with self._lock:
            if found.tag in self._kept:
                self._kept.move_to_end(found.tag)
                return self._kept[found.tag]
        made = _made(found.original, max_pixels=self._max_pixels)
        self._keep(found.tag, made)
        return made

    def _keep(self, tag: str, made: bytes) -> None:
        with self._lock:
            if tag in self._kept:
                return
            self._kept[tag] = made
            self._free -= len(made)
            while self._free < 0:
                _, dropped = self._kept.popitem(last=False)
                self._free += len(dropped)


def _made(there: Original, *, max_pixels: int) -> bytes:
    with there.opened() as file:
        try:
            pixels = read_image(file, max_pixels=max_pixels)
        except InvalidImage as error:
            # It could be read when it was indexed: nobody who asks now is at fault.
            raise NotFound(
                f"the photograph of item {quoted(there.item_id)} cannot be decoded: index its "
                "folder again, or allow more pixels with LORGNETTE_MAX_PIXELS"
            ) from error
    picture = Image.fromarray(pixels)
    # `reducing_gap`: shrinks by whole factors first, which costs a third at no visible loss.
    picture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    target = io.BytesIO()
    picture.save(target, format="JPEG", quality=_QUALITY, optimize=True)
    return target.getvalue()
