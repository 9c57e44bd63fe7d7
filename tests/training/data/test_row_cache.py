"""Cached rows: found by number, and bound to who made them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lorgnette.errors import InvalidConfiguration
from training.data.row_cache import SHARD_ROWS, Binding, RowCache


def _binding(**changes: str | int) -> Binding:
    fields = {
        "kind": "embedding",
        "network_sha256": "a",
        "views_sha256": "b",
        "count": SHARD_ROWS + 10,
        "dim": 4,
        "dtype": "float32",
    }
    return Binding.model_validate(fields | changes)


def test_cached_rows_come_back_by_number_and_only_missing_shards_are_asked_for(
    tmp_path: Path,
) -> None:
    rows = np.random.default_rng(0).standard_normal((SHARD_ROWS + 10, 4)).astype(np.float32)
    cache = RowCache(tmp_path, _binding())
    assert list(cache.missing()) == [(0, SHARD_ROWS), (SHARD_ROWS, SHARD_ROWS + 10)]
    cache.put(0, rows[:SHARD_ROWS])
    again = RowCache(tmp_path, _binding())
    assert list(again.missing()) == [(SHARD_ROWS, SHARD_ROWS + 10)]
    assert again.done() == SHARD_ROWS
    again.put(SHARD_ROWS, rows[SHARD_ROWS:])
    numbers = np.array([SHARD_ROWS + 3, 5, 5, 0], dtype=np.int64)
    np.testing.assert_array_equal(again.rows(numbers), rows[numbers])
    np.testing.assert_array_equal(np.concatenate([part for _, part in again.shards()]), rows)


@pytest.mark.parametrize("changed", ["network_sha256", "views_sha256"])
def test_a_cache_refuses_another_teacher_and_other_crops(tmp_path: Path, changed: str) -> None:
    RowCache(tmp_path, _binding())
    with pytest.raises(InvalidConfiguration, match=changed):
        RowCache(tmp_path, _binding(**{changed: "other"}))


def test_a_binding_of_another_version_says_what_it_lacks(tmp_path: Path) -> None:
    RowCache(tmp_path, _binding())
    (described,) = tmp_path.glob("*.json")
    described.write_text("{}")
    with pytest.raises(InvalidConfiguration, match=r"\(\w+: Field required\): delete its dir"):
        RowCache(tmp_path, _binding())


def test_a_damaged_shard_is_named_with_the_way_out(tmp_path: Path) -> None:
    cache = RowCache(tmp_path, _binding(count=4))
    cache.put(0, np.zeros((4, 4), dtype=np.float32))
    (shard,) = tmp_path.glob("rows-*.npy")
    shard.write_bytes(shard.read_bytes()[:40])
    with pytest.raises(InvalidConfiguration, match=r"rows-000000000\.npy is damaged"):
        RowCache(tmp_path, _binding(count=4)).rows(np.array([1], dtype=np.int64))


@pytest.mark.parametrize("shape", [(3, 4), (4, 5), (4,)])
def test_a_shard_of_another_shape_is_named_with_the_way_out(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    RowCache(tmp_path, _binding(count=4)).put(0, np.zeros((4, 4), dtype=np.float32))
    (shard,) = tmp_path.glob("rows-*.npy")
    np.save(shard, np.zeros(shape, dtype=np.float32))
    with pytest.raises(InvalidConfiguration, match=r"expected float32 \[4, 4\]: delete it"):
        RowCache(tmp_path, _binding(count=4)).rows(np.array([3], dtype=np.int64))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_a_large_cache_holds_few_files_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.row_cache.SHARD_ROWS", 2)
    monkeypatch.setattr("training.data.row_cache.MOST_MAPPED", 3)
    rows = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    cache = RowCache(tmp_path, _binding(count=40))
    for first in range(0, 40, 2):
        cache.put(first, rows[first : first + 2])
    np.testing.assert_array_equal(np.concatenate([part for _, part in cache.shards()]), rows)
    numbers = np.random.default_rng(1).permutation(40).astype(np.int64)
    np.testing.assert_array_equal(cache.rows(numbers), rows[numbers])
    held = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    mapped = [link for link in held if str(tmp_path) in os.path.realpath(link)]
    assert len(mapped) <= 4
