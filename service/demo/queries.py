"""The demo's queries: generated views of photographs in the gallery, seen by nobody before."""

from __future__ import annotations

import contextlib
import filecmp
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lorgnette.errors import InvalidImage
from lorgnette.image import read_image
from service.demo.photographs import MAX_GALLERY_SEED, QUERIED
from service.demo.views import ViewKind, make_view

KINDS: tuple[ViewKind, ...] = ("perspective", "crop", "light")
"""A query is all of these at once; a picture of the sample gallery is never more than one."""

COUNT = 3


@dataclass(frozen=True)
class Query:
    """A query photograph and what it must find.

    path: the generated view. photo: the picture it was made from, relative to the gallery.
    is_match: whether a picture of the gallery, relative path with slashes, is the right answer.
    """

    path: Path
    photo: str
    is_match: Callable[[str], bool]


def sample_queries(gallery: Path, folder: Path) -> list[Query]:
    """Three queries about the sample gallery; any picture of the same photograph is right."""
    queries: list[Query] = []
    for name in QUERIED:
        original = next((gallery / name).glob("original.*"))
        path = folder / f"{name}.jpg"
        _write_view(original, path, seed=MAX_GALLERY_SEED + 1 + len(queries))
        relative = original.relative_to(gallery).as_posix()
        queries.append(Query(path=path, photo=relative, is_match=_in_folder(name)))
    return queries


def photo_queries(gallery: Path, files: Sequence[Path], folder: Path) -> list[Query]:
    """Queries about up to three of the user's photographs, spread over the folder.

    files: the gallery's photographs in a fixed order. Pictures that cannot be read are passed
    over. A photo is found when it, or a byte-identical copy of it, is the answer.
    """
    queries: list[Query] = []
    for part in range(COUNT):
        path = folder / f"query-{part + 1}.jpg"
        chosen = files[len(files) * part // COUNT : len(files) * (part + 1) // COUNT]
        photo = _first_readable(chosen, path, seed=MAX_GALLERY_SEED + 1 + part)
        if photo is not None:
            relative = photo.relative_to(gallery).as_posix()
            match = _same_photo(gallery, photo)
            queries.append(Query(path=path, photo=relative, is_match=match))
    return queries


def _first_readable(files: Sequence[Path], path: Path, *, seed: int) -> Path | None:
    """Write a view of the readable photo nearest after the middle; None when there is none."""
    middle = len(files) // 2
    for photo in (*files[middle:], *files[:middle]):
        with contextlib.suppress(InvalidImage):
            _write_view(photo, path, seed=seed)
            return photo
    return None


def _write_view(photo: Path, path: Path, *, seed: int) -> None:
    pixels = Image.fromarray(read_image(photo))
    path.parent.mkdir(parents=True, exist_ok=True)
    make_view(pixels, KINDS, seed=seed).save(path, quality=90)


def _in_folder(name: str) -> Callable[[str], bool]:
    return lambda found: found.split("/", 1)[0] == name


def _same_photo(gallery: Path, photo: Path) -> Callable[[str], bool]:
    def is_match(found: str) -> bool:
        other = gallery / found
        if other == photo:
            return True
        return other.is_file() and filecmp.cmp(other, photo, shallow=False)

    return is_match
