"""Generated photographs, plain and by class, and what is made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.catalogue import Labelled, Photographs, find_photographs
from training.data.specs import Crops, Source

CROPS = {
    "seed": 0,
    "per_photograph": 2,
    "whole_share": 0.2,
    "area": [0.2, 1.0],
    "aspect": 1.4,
    "shape": "square",
    "flip_share": 0.5,
    "joined_share": 0.3,
    "colour": {"share": 0.5, "brightness": 0.3, "contrast": 0.3, "saturation": 0.3},
}


def write_photographs(folder: Path, count: int = 24, *, seed: int = 0) -> None:
    """JPEGs of smooth random colour, of different sizes."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(count):
        coarse = random.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        size = (int(random.integers(40, 80)), int(random.integers(40, 80)))
        Image.fromarray(coarse).resize(size).save(folder / f"{number:03d}.jpg")


def write_classes(folder: Path, sizes: Sequence[int]) -> None:
    """A folder per class, c00, c01 and so on, with so many photographs each."""
    for number, count in enumerate(sizes):
        write_photographs(folder / f"c{number:02d}", count, seed=number)


def crops(**changes: object) -> Crops:
    """Crops of the tiny experiments with some keys changed."""
    return Crops.model_validate_json(json.dumps(CROPS | changes))


def photographs(root: Path, count: int) -> Photographs:
    """Unlabelled ones, written and read."""
    write_photographs(root / "photos", count)
    source = {"folder": "photos", "splits": None, "role": None, "labels": "none", "licence": "-"}
    return find_photographs(root, [Source.model_validate(source)])


def listing(labels: Sequence[int]) -> Labelled:
    """Photographs that exist in name only, for what reads no pixel."""
    paths = tuple(Path(f"{i}.jpg") for i in range(len(labels)))
    classes = tuple(f"class {c}" for c in range(max(labels) + 1))
    return Labelled(paths, np.array(labels, dtype=np.int64), classes, pairs=None)
