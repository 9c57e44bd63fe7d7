"""Small generated photographs on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_photographs(folder: Path, count: int, *, first: int = 0) -> list[Path]:
    """Write `000.jpg`, `001.jpg`, …: coarse random colours, 64 × 48, each its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write_photograph(folder / f"{n:03}.jpg", seed=n) for n in range(first, first + count)]


def write_photograph(path: Path, *, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((64, 48), Image.Resampling.NEAREST).save(path)
    return path
