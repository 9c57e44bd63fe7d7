from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cache import Cache


def test_what_is_made_once_is_read_afterwards(tmp_path: Path) -> None:
    made = []

    def make() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        made.append(1)
        return np.arange(3)

    for _ in range(2):
        assert Cache.of(tmp_path).array("numbers", make).tolist() == [0, 1, 2]
        assert Cache.of(tmp_path).facts("told", lambda: {"made": len(made)}) == {"made": 1}
    assert made == [1]


def test_what_was_stopped_is_made_again(tmp_path: Path) -> None:
    cache = Cache.of(tmp_path)

    def stopped(path: Path) -> None:
        path.write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.file("text", stopped)
    assert cache.file("text", lambda path: path.write_text("whole")).read_text() == "whole"


def test_only_what_other_code_has_left_is_removed(tmp_path: Path) -> None:
    old, foreign = tmp_path / "lorgnette-benchmarks-0123456789ab", tmp_path / "photographs"
    for folder in (old, foreign):
        folder.mkdir()
    cache = Cache.of(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([cache.folder, foreign])
