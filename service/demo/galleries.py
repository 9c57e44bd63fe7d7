"""Which photographs the demo searches, and where what it makes of them goes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lorgnette.errors import InvalidConfiguration, InvalidInput
from service.demo.photographs import GALLERY_NAME, sample_folder, write_sample_gallery
from service.demo.queries import Query, photo_queries, sample_queries
from service.gallery.scan import scan


@dataclass(frozen=True)
class Gallery:
    """A folder of photographs and the demo's own folder about it.

    photos: what is indexed. home: holds `index`, `queries`, the contact sheet and the log.
    """

    photos: Path
    home: Path
    queries: tuple[Query, ...]

    @property
    def index(self) -> Path:
        """The service's data directory."""
        return self.home / "index"

    @property
    def sheet(self) -> Path:
        """Where the contact sheet goes."""
        return self.home / "contact-sheet.png"

    @property
    def log(self) -> Path:
        """Where the service's log goes."""
        return self.home / "service.log"


def sample_gallery(data: Path, *, on_picture: Callable[[], None]) -> Gallery:
    """Make the sample gallery below `data`, unless it is there already.

    on_picture: called after each picture written. Raises `MissingExtra` when scikit-image is not
    installed.
    """
    home = _home(data, GALLERY_NAME)
    photos = home / "gallery"
    source = sample_folder()
    for _ in write_sample_gallery(source, photos):
        on_picture()
    return Gallery(photos, home, tuple(sample_queries(source, home / "queries")))


def own_gallery(photos: Path, data: Path) -> Gallery:
    """The user's folder.

    Raises `InvalidInput` when it is none, or holds no photograph or only unreadable ones, and
    `InvalidConfiguration` when the demo would find its own pictures in it.
    """
    files = scan(photos).photographs
    photos = photos.resolve()
    if data.resolve().is_relative_to(photos):
        raise InvalidConfiguration(
            f"the demo's data folder {data} is inside the photos {photos}, where its own pictures "
            "would be found again: name another with --data"
        )
    digest = hashlib.sha256(os.fsencode(photos)).hexdigest()[:8]
    plain = re.sub(r"[^A-Za-z0-9]+", "-", photos.name).strip("-") or "photos"
    home = _home(data, f"{plain}-{digest}")
    queries = tuple(photo_queries(photos, files, home / "queries"))
    if not queries:
        raise InvalidInput(f"none of the {len(files)} photographs in {photos} can be read")
    return Gallery(photos, home, queries)


def _home(data: Path, name: str) -> Path:
    home = data / name
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidConfiguration(
            f"cannot write to {home} ({error.strerror}): name another folder with --data"
        ) from error
    return home
