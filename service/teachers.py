"""The teachers a service may embed with: the configured bundle, and those beside it.

models/teacher      --teacher
models/teacher-2    is named "teacher-2"
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from lorgnette.bundle import MANIFEST_NAME, read_manifest
from lorgnette.encoder import Encoder
from lorgnette.errors import Conflict, InvalidBundle, NotFound
from lorgnette.manifest import Space
from lorgnette.text import quoted
from service.embedding import open_teacher
from service.gallery.catalogue import Catalogue

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Teachers:
    """Where the teachers are. Encoders are opened when they are first needed, and kept."""

    configured: Path
    max_pixels: int
    _opened: dict[str, Encoder] = field(default_factory=dict)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def named(self, name: str) -> Path:
        """The gallery bundle of that directory name. Raises `NotFound`."""
        directory = self.configured.resolve().parent / name
        if NAME.fullmatch(name) is None or not (directory / MANIFEST_NAME).is_file():
            raise NotFound(
                f"there is no teacher {quoted(name)} beside {self.configured.name!r}: put its "
                "bundle into the same directory and give that directory's name"
            )
        return directory

    def present(self, catalogue: Catalogue) -> Path:
        """The bundle a reindex embeds with when none is named.

        The configured one; where its space was retired, that of a space which is live. Raises
        `Conflict` when there is none.
        """
        retired, live = catalogue.retired(), {space.id for space in catalogue.spaces()}
        for directory in self._directories():
            space_id = _space_of(directory)
            if space_id is None:
                continue
            is_configured = directory == self.configured and space_id not in retired
            if is_configured or space_id in live:
                return directory
        raise Conflict(
            "this server has no teacher to embed with: start it with --teacher naming a bundle"
        )

    def speaking(self, spaces: Collection[Space]) -> tuple[Encoder, ...]:
        """An encoder for each of the spaces that has a bundle here; blocking. Of an empty
        collection: the configured one's.

        Raises `Conflict` when there is none, `InvalidBundle` for one that is broken.
        """
        wanted = {space.id for space in spaces}
        found: dict[str, Path] = {}
        for directory in self._directories():
            space_id = _space_of(directory)
            if space_id is not None and (not wanted or space_id in wanted):
                found.setdefault(space_id, directory)
            if found and not wanted:
                break
        if not found:
            speaks = " or ".join(sorted(wanted)) or "any space"
            raise Conflict(
                f"this server has no teacher of {speaks} to embed with: start it with --teacher "
                "naming the bundle, or send a vector instead of the image"
            )
        return tuple(self._open(space_id, path) for space_id, path in sorted(found.items()))

    def _directories(self) -> list[Path]:
        """The configured bundle first, then its neighbours by name."""
        try:
            beside = sorted(self.configured.resolve().parent.iterdir())
        except OSError:
            beside = []
        return [self.configured, *(path for path in beside if (path / MANIFEST_NAME).is_file())]

    def _open(self, space_id: str, directory: Path) -> Encoder:
        with self._opening:
            if space_id not in self._opened:
                self._opened[space_id] = open_teacher(directory, max_pixels=self.max_pixels)
            return self._opened[space_id]


def _space_of(directory: Path) -> str | None:
    """The space of a gallery bundle; None for any other directory."""
    try:
        manifest = read_manifest(directory)
    except InvalidBundle:
        return None
    return manifest.space.id if manifest.role == "gallery" else None
