"""Pictures of coloured patches: even an 8 × 8 thumbnail tells them and their views apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_pictures(folder: Path, *names: str, size: tuple[int, int] = (120, 90)) -> Path:
    """Write one picture a name, each of its own colours. Returns the folder."""
    for seed, name in enumerate(names):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return folder


def numbered(count: int) -> tuple[str, ...]:
    return tuple(f"photo-{number:02d}.png" for number in range(count))
