"""The sample gallery: real photographs from scikit-image, and generated views of them.

The package is never imported: only its folder of pictures is read, so that none of its own
dependencies is needed.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from lorgnette.errors import InvalidConfiguration, MissingExtra
from lorgnette.image import read_image
from service.demo.views import ViewKind, make_view

# Left out: test charts, drawings, silhouettes, pages of text, a synthetic phantom, thumbnails,
# and the right half of the motorcycle's stereo pair.
PHOTOGRAPHS = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
"""File names in scikit-image's data folder. Its documentation gives the origin of each (CC0, public
domain or no known restriction for most); none is copied into this repository."""

QUERIED = ("chelsea.png", "coffee.png", "motorcycle_left.png")
"""The photographs of the sample gallery the three queries are made from."""

VIEWS: tuple[ViewKind, ...] = (
    "crop",
    "crop",
    "perspective",
    "perspective",
    "rotation",
    "light",
    "light",
)
"""The generated views of each photograph in the gallery; each has a seed of its own."""

MAX_GALLERY_SEED = len(PHOTOGRAPHS) * len(VIEWS)
"""The gallery's seeds are 1 to this; the queries' seeds begin above it."""

GALLERY_NAME = "sample-1"
"""Folder of the generated gallery; another recipe must take another number."""


def sample_folder() -> Path:
    """The folder of pictures inside the installed scikit-image.

    Raises `MissingExtra` when the package is not installed, `InvalidConfiguration` when it no
    longer carries the photographs.
    """
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            "the sample photographs come from the package scikit-image, which is not installed: "
            "`pip install --no-deps -c constraints.txt scikit-image` (its own dependencies are "
            "not needed), or give your own photos with --photos DIR"
        )
    folder = Path(spec.submodule_search_locations[0]) / "data"
    missing = [name for name in PHOTOGRAPHS if not (folder / name).is_file()]
    if missing:
        raise InvalidConfiguration(
            f"the installed scikit-image lacks {', '.join(missing)} in {folder}: install the "
            "version constraints.txt names, or give your own photos with --photos DIR"
        )
    return folder


def gallery_size() -> int:
    """How many pictures the sample gallery holds: each photograph and its views."""
    return len(PHOTOGRAPHS) * (1 + len(VIEWS))


def write_sample_gallery(source: Path, folder: Path) -> Iterator[Path]:
    """Write the sample gallery to a folder, one subfolder a photograph, yielding each picture.

    A finished gallery is left alone and yields nothing; a half-written one is never visible,
    because it is built beside and renamed once the last picture is written.
    """
    if folder.is_dir():
        return
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    for number, name in enumerate(PHOTOGRAPHS):
        first_seed = 1 + number * len(VIEWS)
        yield from _write_photograph(source / name, building / Path(name).stem, first_seed)
    building.replace(folder)


def _write_photograph(photo: Path, folder: Path, first_seed: int) -> Iterator[Path]:
    folder.mkdir(parents=True)
    yield Path(shutil.copyfile(photo, folder / f"original{photo.suffix}"))
    pixels = Image.fromarray(read_image(photo))
    for number, kind in enumerate(VIEWS):
        path = folder / f"{number + 1}-{kind}.jpg"
        make_view(pixels, (kind,), seed=first_seed + number).save(path, quality=90)
        yield path
