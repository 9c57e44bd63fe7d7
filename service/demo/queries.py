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
from service.gallery.scan import Photograph

SAMPLE_KINDS: tuple[ViewKind, ...] = ("perspective", "crop", "light")
"""A query about the sample gallery is all of these at once; its pictures are one at most."""

OWN_KINDS: tuple[ViewKind, ...] = ("slight perspective", "light")
"""A query about the user's folder is slighter: there the neighbour may be the next of a burst."""

COUNT = 3


@dataclass(frozen=True)
class Query:
    """A query photograph and what it must find.

    path: the generated view. kinds: how it was made. photo: id in the gallery of its original.
    is_match: whether the item of this id is a right answer.
    """

    path: Path
    kinds: tuple[ViewKind, ...]
    photo: str
    is_match: Callable[[str], bool]


def sample_queries(source: Path, folder: Path) -> list[Query]:
    """Three queries about the sample gallery; any picture of the same photograph is right.

    source: the folder of the original photographs.
    """
    queries: list[Query] = []
    for part, photo in enumerate(Path(name) for name in QUERIED):
        path = folder / f"query-{part + 1}.jpg"
        _write_view(source / photo, path, kinds=SAMPLE_KINDS, part=part)
        original = f"{photo.stem}/original{photo.suffix}"
        queries.append(Query(path, SAMPLE_KINDS, original, is_match=_in_folder(photo.stem)))
    return queries


def photo_queries(gallery: Path, files: Sequence[Photograph], folder: Path) -> list[Query]:
    """Queries about up to three of the user's photographs, spread over the folder.

    Pictures that cannot be read are passed over. A photo is found when it, or a byte-identical
    copy of it, is the answer.
    """
    queries: list[Query] = []
    for part in range(COUNT):
        path = folder / f"query-{part + 1}.jpg"
        chosen = files[len(files) * part // COUNT : len(files) * (part + 1) // COUNT]
        photo = _first_readable(chosen, path, part=part)
        if photo is not None:
            queries.append(Query(path, OWN_KINDS, photo.id, is_match=_same_photo(gallery, photo)))
    return queries


def _first_readable(files: Sequence[Photograph], path: Path, *, part: int) -> Photograph | None:
    """Write a view of the readable photo nearest after the middle; None when there is none."""
    middle = len(files) // 2
    for photo in (*files[middle:], *files[:middle]):
        with contextlib.suppress(InvalidImage):
            _write_view(photo.path, path, kinds=OWN_KINDS, part=part)
            return photo
    return None


def _write_view(photo: Path, path: Path, *, kinds: Sequence[ViewKind], part: int) -> None:
    """Write a view whose seed no picture of the sample gallery has."""
    pixels = Image.fromarray(read_image(photo))
    path.parent.mkdir(parents=True, exist_ok=True)
    make_view(pixels, kinds, seed=MAX_GALLERY_SEED + 1 + part).save(path, quality=90)


def _in_folder(name: str) -> Callable[[str], bool]:
    return lambda found: found.split("/", 1)[0] == name


def _same_photo(gallery: Path, photo: Photograph) -> Callable[[str], bool]:
    def is_match(found: str) -> bool:
        if found == photo.id:
            return True
        with contextlib.suppress(OSError):
            return filecmp.cmp(gallery / found, photo.path, shallow=False)
        return False

    return is_match
