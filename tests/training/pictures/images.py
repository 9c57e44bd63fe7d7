"""Reading pictures back, and photographs on disk for them to show."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.training.analyses.subjects import subject
from training.analyses.subject import Subject


def pixels_of(png: bytes) -> np.ndarray:
    """uint8 `[H, W, 3]`."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has_colour(png: bytes, colour: str) -> bool:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return bool((pixels_of(png) == wanted).all(axis=2).sum() > 20)


def photographed(folder: Path, **shape: int) -> Subject:
    """A subject whose photographs are files of one grey each, in `folder`."""
    seen = subject(**shape)
    paths = []
    for number, path in enumerate(seen.paths):
        moved = folder.joinpath(*path.parts[1:-1], f"{number}.png")
        moved.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30 + number, 40), (90, 90, 90)).save(moved)
        paths.append(moved)
    return replace(seen, folder=folder, paths=tuple(paths))
