"""Where an edge box's photographs come from: a folder that fills, or a camera."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lorgnette.edge.diary import Diary, Sight
from lorgnette.errors import InvalidConfiguration, InvalidImage, MissingExtra
from lorgnette.image import EXTENSIONS, read_image

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 256 * 1024**2
"""A larger file is taken for no photograph, and not loaded."""

_ENDINGS = tuple(EXTENSIONS)
_HERE = os.curdir + os.sep


@dataclass(frozen=True)
class Photo:
    """pixels: uint8 `[H, W, 3]`, in memory only. sight: the file it came from, if any."""

    name: str
    sha256: str
    pixels: NDArray[np.uint8]
    sight: Sight | None


class Eyes(Protocol):
    """Something that sees photographs."""

    def new(self, diary: Diary) -> Iterator[Photo]:
        """Those not taken yet."""
        ...


class Folder:
    """Looks through a folder, and below it. A file counts once two looks find it the same."""

    def __init__(self, directory: Path, *, settles: bool = True) -> None:
        if not directory.is_dir():
            raise InvalidConfiguration(f"{directory} is not a directory to watch")
        self._directory = directory
        self._before: frozenset[Sight] = frozenset()
        self._settles = settles
        self._refusing: set[Sight] = set()

    def new(self, diary: Diary) -> Iterator[Photo]:
        """Each new photograph, in the order of names; unreadable ones are logged, once."""
        now = [sight for sight in self._sights() if not diary.has_met(sight)]
        before, self._before = self._before, frozenset(now)
        for sight in now:
            if self._settles and sight not in before:
                continue
            photo = self._read(sight, diary)
            if photo is not None:
                yield photo

    def _sights(self) -> Iterator[Sight]:
        # Unlike `rglob`, it goes on when a folder disappears under it; neither follows links.
        walk = os.walk(self._directory)
        # Strings: ten thousand `Path`s compared every second would be most of a look.
        for path in sorted(
            (folder + os.sep + name).removeprefix(_HERE)
            for folder, _, names in walk
            for name in names
            if name.lower().endswith(_ENDINGS) and not name.startswith(".")
        ):
            try:
                found = Path(path).stat()
            except OSError:
                continue
            # Reading a pipe or a device may never end.
            if stat.S_ISREG(found.st_mode):
                yield Sight(path, found.st_size, found.st_mtime_ns)

    def _read(self, sight: Sight, diary: Diary) -> Photo | None:
        """None for a copy and for what is no photograph, never looked at again, or not readable."""
        try:
            content = _content(sight)
            digest = hashlib.sha256(content).hexdigest()
            if not diary.has_done(digest):
                return Photo(sight.path, digest, read_image(content), sight)
        except FileNotFoundError:
            return None
        except OSError as error:
            # A disk or a share that comes back brings its photographs with it.
            if sight not in self._refusing:
                log.warning("cannot be read now", extra={"path": sight.path, "why": str(error)})
            self._refusing.add(sight)
            return None
        except InvalidImage as error:
            log.warning("not a photograph", extra={"path": sight.path, "why": str(error)})
        diary.note(sight)
        return None


class Camera:
    """One frame at a look. Needs OpenCV: `pip install 'lorgnette[camera]'`."""

    def __init__(self, number: int) -> None:
        self._cv2 = _opencv()
        self._capture = self._cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise InvalidConfiguration(f"camera {number} cannot be opened: is it there, and free?")
        self._number = number

    def new(self, _diary: Diary) -> Iterator[Photo]:
        """The frame of this moment; none when the camera gives none."""
        has_frame, frame = self._capture.read()
        if not has_frame:
            log.warning("no frame", extra={"camera": self._number})
            return
        pixels = np.ascontiguousarray(frame[:, :, ::-1])
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        yield Photo(f"camera-{self._number}", digest, pixels, None)


def _content(sight: Sight) -> bytes:
    """Raises `OSError`, and `InvalidImage` for more bytes than a photograph has."""
    if sight.size > MAX_FILE_BYTES:
        raise InvalidImage(f"{sight.size:,} bytes, the cap is {MAX_FILE_BYTES:,}")
    return Path(sight.path).read_bytes()


def _opencv() -> ModuleType:
    try:
        return import_module("cv2")
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "a camera needs OpenCV, which is not installed: pip install 'lorgnette[camera]'"
        ) from error
