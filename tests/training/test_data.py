"""Photographs, splits, deterministic views, and the cache that remembers whose rows it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lorgnette.errors import InvalidConfiguration
from tests.training.tiny_experiment import student_config, write_photographs
from training.data.augment import render, squash
from training.data.catalogue import find_photographs
from training.data.crops import Light, Region, View, draw_view
from training.data.loader import Views, batches, in_order, shuffled
from training.data.row_cache import SHARD_ROWS, Binding, RowCache
from training.data.specs import Crops, Source
from training.data.splits import read_splits
from training.files import write_atomically

CROPS: Crops = student_config().crops


def _source(**changes: str | None) -> Source:
    fields = {"folder": "photos", "splits": None, "role": None, "labels": "none", "licence": "none"}
    return Source.model_validate(fields | changes)


def test_broken_photographs_are_skipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_photographs(tmp_path / "photos", 4)
    good = (tmp_path / "photos" / "000.jpg").read_bytes()
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    (tmp_path / "photos" / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (tmp_path / "photos" / "notes.txt").write_text("not a photograph, not looked at")
    found = find_photographs(tmp_path, [_source()])
    assert [path.name for path in found.paths] == [f"{n:03d}.jpg" for n in range(4)]
    assert found.skipped == 2
    assert "truncated.jpg" in caplog.text


def test_the_photographs_digest_follows_their_bytes(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 3)
    before = find_photographs(tmp_path, [_source()]).sha256
    assert find_photographs(tmp_path, [_source()]).sha256 == before
    Image.new("RGB", (30, 30), "red").save(tmp_path / "photos" / "001.jpg")
    assert find_photographs(tmp_path, [_source()]).sha256 != before


def test_splits_choose_the_photographs_of_a_role(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 3)
    (tmp_path / "photos" / "splits.tsv").write_text(
        "000.jpg\tpool\n001.jpg\tquery\n002.jpg\tpool\n"
    )
    found = find_photographs(tmp_path, [_source(splits="splits.tsv", role="pool")])
    assert [path.name for path in found.paths] == ["000.jpg", "002.jpg"]


def test_a_splits_file_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "splits.tsv").write_bytes(b"\xef\xbb\xbfa/1.jpg\tquery\r\nb/2.jpg\tpool\r\n")
    assert read_splits(tmp_path / "splits.tsv") == {"a/1.jpg": "query", "b/2.jpg": "pool"}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("000.jpg pool\n", "line 1: expected path<TAB>role"),
        ("000.jpg\tpool\n001.jpg\tpond\n", "line 2"),
        ("000.jpg\tpool\n000.jpg\tpool\n", "listed twice"),
        ("absent.jpg\tpool\n", "absent.jpg"),
        ("/etc/passwd\tpool\n", "line 1: expected a plain path below the data set"),
        ("../photos/000.jpg\tpool\n", "line 1: expected a plain path below"),
        ("./000.jpg\tpool\n", "line 1: expected a plain path below"),
        ("000.jpg\tquery\n", "no photograph the role 'pool'"),
    ],
)
def test_a_wrong_splits_file_is_one_clear_sentence(tmp_path: Path, lines: str, reason: str) -> None:
    write_photographs(tmp_path / "photos", 2)
    (tmp_path / "photos" / "splits.tsv").write_text(lines)
    with pytest.raises(InvalidConfiguration, match=reason):
        find_photographs(tmp_path, [_source(splits="splits.tsv", role="pool")])


def test_missing_folders_files_and_photographs_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, reason in {"absent": "no folder", "empty": "holds no photographs"}.items():
        with pytest.raises(InvalidConfiguration, match=reason):
            find_photographs(tmp_path, [_source(folder=folder)])
    with pytest.raises(InvalidConfiguration, match="cannot read the splits"):
        read_splits(tmp_path / "absent.tsv")
    (tmp_path / "empty" / "broken.jpg").write_bytes(b"no")
    with pytest.raises(InvalidConfiguration, match="no readable photograph"):
        find_photographs(tmp_path, [_source(folder="empty")])


def test_a_view_depends_on_seed_photograph_and_number_alone() -> None:
    view = draw_view(CROPS, photograph=3, k=1, photographs=9)
    assert view == draw_view(CROPS, photograph=3, k=1, photographs=9)
    others = [
        draw_view(CROPS, photograph=3, k=0, photographs=9),
        draw_view(CROPS, photograph=2, k=1, photographs=9),
        draw_view(CROPS.model_copy(update={"seed": 99}), photograph=3, k=1, photographs=9),
    ]
    assert all(other != view for other in others)


def test_views_are_drawn_as_configured() -> None:
    views = [draw_view(CROPS, photograph=i, k=0, photographs=2000) for i in range(2000)]
    whole = np.mean([view.region.is_whole for view in views])
    joined = np.mean([view.join is not None for view in views])
    lit = np.mean([view.light is not None for view in views])
    assert whole == pytest.approx(CROPS.whole_share, abs=0.03)
    assert joined == pytest.approx(CROPS.joined_share, abs=0.03)
    assert lit == pytest.approx(CROPS.colour.share, abs=0.03)
    for view in views:
        assert CROPS.area[0] <= view.region.area <= CROPS.area[1]
        rows, columns = view.region.bounds(60, 40)
        assert 0 <= rows.start < rows.stop <= 60
        assert 0 <= columns.start < columns.stop <= 40


def test_a_crop_is_the_pixels_it_names() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    region = Region(
        0,
        is_whole=False,
        area=0.25,
        aspect=1.5,
        top=1.0,
        left=0.0,
        is_flipped=True,
        keeps_shape=False,
    )
    rows, columns = region.bounds(40, 60)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (20, 30)
    rendered = render(View(region, join=None, light=None), lambda _: pixels, height=24, width=24)
    direct = squash(pixels[20:40, 0:30], height=24, width=24).flip(-1)
    assert torch.equal(rendered, direct)


def test_neutral_light_changes_nothing_and_darkness_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    whole = Region(
        0, is_whole=True, area=1, aspect=1, top=0, left=0, is_flipped=False, keeps_shape=False
    )

    def lit(light: Light | None) -> torch.Tensor:
        return render(View(whole, join=None, light=light), lambda _: pixels, height=16, width=16)

    assert torch.equal(lit(Light(1.0, 1.0, 1.0)), lit(None))
    assert lit(Light(0.5, 1.0, 1.0)).float().mean() < lit(None).float().mean()


def test_prefetched_batches_are_the_ones_made_one_by_one(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 5)
    views = Views(find_photographs(tmp_path, [_source()]), CROPS)
    plan = in_order(0, len(views), batch_size=3, size_px=16)
    ahead = list(batches(views, plan))
    assert [len(batch.images) for batch in ahead] == [3, 3, 3, 1]
    for order, batch in zip(plan, ahead, strict=True):
        alone = views.batch(order)
        numbers = order.choice.layout().images
        assert torch.equal(batch.images, alone.images)
        assert batch.who.ids.tolist() == numbers.tolist()
        assert batch.who.labels.tolist() == (numbers % 5).tolist()
        assert batch.others is batch.who
        assert batch.used.all()
        assert batch.anchors.tolist() == list(range(len(numbers)))


def test_the_first_round_is_one_view_of_each_photograph_whatever_follows(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 5)
    views = Views(find_photographs(tmp_path, [_source()]), CROPS)
    first = views.rounds(1)
    assert (len(views), len(first)) == (10, 5)
    order = in_order(0, 5, batch_size=5, size_px=16)[0]
    assert torch.equal(views.batch(order).images, first.batch(order).images)
    assert views.batch(order).who.labels.tolist() == [0, 1, 2, 3, 4]


def test_an_epoch_shows_every_view_once_and_epochs_differ() -> None:
    first, second = (np.concatenate(shuffled(10, batch_size=3, seed=0, epoch=e)) for e in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert first.tolist() != second.tolist()


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


def test_a_damaged_shard_is_named_with_the_way_out(tmp_path: Path) -> None:
    cache = RowCache(tmp_path, _binding(count=4))
    cache.put(0, np.zeros((4, 4), dtype=np.float32))
    (shard,) = tmp_path.glob("rows-*.npy")
    shard.write_bytes(shard.read_bytes()[:40])
    with pytest.raises(InvalidConfiguration, match=r"rows-000000000\.npy is damaged"):
        RowCache(tmp_path, _binding(count=4)).rows(np.array([1], dtype=np.int64))


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidConfiguration, match="cannot write"):
        write_atomically(tmp_path / "file" / "below", b"content")
    (tmp_path / "taken").mkdir()
    with pytest.raises(InvalidConfiguration, match="cannot write"):
        write_atomically(tmp_path / "taken", b"content")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]
