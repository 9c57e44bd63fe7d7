"""Pictures that even a random projection finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _write(path: Path, base: np.ndarray, random: np.random.Generator) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noisy = np.clip(base + random.integers(-25, 25, base.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).resize((60, 40)).save(path)
    return path


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three things, five pictures of each, and ten of nothing."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(3)
    for thing in range(3):
        base = random.integers(0, 256, (5, 5, 3))
        for number in range(5):
            _write(folder / f"{thing}" / f"{number}.png", base, random)
    for number in range(10):
        _write(folder / "noise" / f"{number}.png", random.integers(0, 256, (5, 5, 3)), random)
    return folder
