"""The photograph an item was made from, found again where it lies: never another file.

An item's `source` is written by the indexer (an absolute path) or by `sources.store` (a path of its
own pattern below the data directory), never by a caller. A file that is not the one that was
indexed, by its size and time, is not shown: it may be another picture, or none.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from lorgnette.errors import NotFound
from lorgnette.image import EXTENSIONS
from lorgnette.text import quoted
from service.gallery.catalogue import Catalogue
from service.gallery.records import Stamp
from service.gallery.sources import SOURCES_NAME

_KEPT = re.compile(rf"{SOURCES_NAME}/[0-9a-f]{{2}}/[0-9a-f]{{64}}")


@dataclass(frozen=True)
class Original:
    """The photograph of an item. source: as its item names it; path: where that is now."""

    item_id: str
    source: str
    path: Path
    stamp: Stamp

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file, after checking that it is still the one that was indexed.

        Raises `NotFound` when it is gone, changed, or nothing that can be read.
        """
        try:
            # A pipe put in its place would wait for a writer.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise self._missing("is gone or cannot be read where it was indexed") from error
        with os.fdopen(descriptor, "rb") as file:
            if not self._is_the_same(os.fstat(descriptor)):
                raise self._missing("has changed since it was indexed")
            yield file

    def _is_the_same(self, found: os.stat_result) -> bool:
        # A kept image's name says what it holds: its time says nothing, and is stored as 0.
        is_its_time = self.stamp.mtime_ns in (0, found.st_mtime_ns)
        return stat.S_ISREG(found.st_mode) and is_its_time and found.st_size == self.stamp.size

    def _missing(self, why: str) -> NotFound:
        return NotFound(
            f"the photograph of item {quoted(self.item_id)} {why}: put it back, or index "
            "its folder again"
        )


def original(catalogue: Catalogue, data: Path, item_id: str) -> Original:
    """Where the photograph of a live item should be. Raises `NotFound`."""
    with catalogue.reading() as connection:
        row = connection.execute(
            "SELECT source, size, mtime_ns FROM items WHERE id = ? AND NOT deleted", (item_id,)
        ).fetchone()
    if row is None:
        raise NotFound(f"there is no item {quoted(item_id)}: it may have been deleted")
    source, size, mtime_ns = row
    if not _is_a_place_of_photographs(source):
        raise NotFound(f"item {quoted(item_id)} has no stored photograph: it was given as a vector")
    return Original(
        item_id=item_id,
        source=source,
        path=data / source,
        stamp=Stamp(size=size, mtime_ns=mtime_ns),
    )


def _is_a_place_of_photographs(source: str) -> bool:
    """What a catalogue of ours can name; one that was tampered with leads nowhere else."""
    named = PurePath(source)
    is_indexed = named.is_absolute() and named.suffix.lower() in EXTENSIONS
    return _KEPT.fullmatch(source) is not None or (is_indexed and ".." not in named.parts)
