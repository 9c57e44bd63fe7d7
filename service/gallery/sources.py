"""The photographs that came over HTTP, kept so that a new teacher can embed them again.

    sources/ab/ab34…    the encoded image, under its sha256

An item's `source` is this path below the data directory, which may therefore be moved.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path, PurePosixPath

from lorgnette import durable
from service.gallery.catalogue import Catalogue
from service.gallery.files import disk_errors
from service.gallery.records import Stamp

SOURCES_NAME = "sources"

_UNUSED_AFTER_S = 3600.0


def store(data: Path, content: bytes) -> tuple[str, Stamp]:
    """Keep an image, synced. Returns what to write in its item. Raises `DiskFull`."""
    digest = hashlib.sha256(content).hexdigest()
    source = str(PurePosixPath(SOURCES_NAME, digest[:2], digest))
    path = data / source
    with disk_errors(data):
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.replace_file(path, content)
            durable.sync(path.parent.parent)
        else:
            # Somebody may have stored it for an item that has since gone: it counts as new.
            path.touch()
    # The name says what it holds, so its time says nothing.
    return source, Stamp(size=len(content), mtime_ns=0)


def collect(catalogue: Catalogue) -> int:
    """Remove the images no item is made from any more. Returns how many.

    Those younger than an hour stay: the write that names them may still be on its way.
    """
    folder = catalogue.path.parent / SOURCES_NAME
    with catalogue.reading() as connection:
        found = connection.execute(
            "SELECT source FROM items WHERE NOT deleted AND source GLOB ?", (f"{SOURCES_NAME}/*",)
        ).fetchall()
    used = {PurePosixPath(source).name for (source,) in found}
    oldest = time.time() - _UNUSED_AFTER_S
    removed = 0
    for path in folder.glob("??/*"):
        if path.name not in used and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            removed += 1
    return removed
