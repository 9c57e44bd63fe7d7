"""Batches of similar aspect."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorgnette.errors import InvalidImage
from training.data.shapes import Shapes, evenly, shapes_of

ASPECTS = (0.75, 1.0, 4 / 3)


def _some(count: int = 200) -> Shapes:
    return Shapes(ASPECTS, np.random.default_rng(0).integers(0, 3, count))


def test_each_photograph_takes_the_nearest_shape_on_a_log_scale(tmp_path: Path) -> None:
    sizes = [(40, 30), (30, 40), (33, 33), (90, 30), (115, 100), (116, 100)]
    paths = [tmp_path / f"{i}.png" for i in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        Image.new("RGB", size).save(path)
    # √(4/3) = 1.1547 is as far from 1 as from 4/3.
    assert shapes_of(paths, [4 / 3, 0.75, 1.0]).nearest.tolist() == [2, 0, 1, 2, 1, 2]


def test_a_turned_photograph_has_the_shape_it_is_seen_in(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    assert shapes_of([tmp_path / "turned.jpg"], ASPECTS).nearest.tolist() == [0]


def test_one_shape_for_all_reads_no_file() -> None:
    shapes = shapes_of([Path("absent.jpg"), Path("absent too.jpg")], [1.0])
    assert shapes.nearest.tolist() == [0, 0]
    with pytest.raises(InvalidImage, match=r"absent\.jpg"):
        shapes_of([Path("absent.jpg")], ASPECTS)


def test_groups_hold_every_place_once_in_batches_of_nearly_equal_size() -> None:
    shapes = _some()
    groups = shapes.groups(np.arange(200), size=32, random=np.random.default_rng(0))
    assert sorted(np.concatenate([places for places, _ in groups]).tolist()) == list(range(200))
    assert len(groups) == math.ceil(200 / 32)
    assert {len(places) for places, _ in groups} == {28, 29}


def test_all_groups_but_at_the_borders_are_of_one_shape() -> None:
    shapes = _some()
    groups = shapes.groups(np.arange(200), size=16, random=np.random.default_rng(0))
    mixed = 0
    for places, aspect in groups:
        found = set(shapes.nearest[places].tolist())
        assert ASPECTS.index(aspect) in found
        mixed += len(found) > 1
    assert mixed <= len(ASPECTS) - 1


def test_a_batch_of_two_shapes_takes_the_one_most_of_it_has() -> None:
    """Hand-worked: 3 tall ones and 7 wide ones in fives, so that one batch has 3 and 2 of them."""
    shapes = Shapes((0.75, 4 / 3), np.array([0] * 3 + [1] * 7, dtype=np.int64))
    groups = shapes.groups(np.arange(10), size=5, random=np.random.default_rng(0))
    found = {tuple(sorted(shapes.nearest[places].tolist())): aspect for places, aspect in groups}
    assert found == {(0, 0, 0, 1, 1): 0.75, (1, 1, 1, 1, 1): 4 / 3}
    fewer = Shapes((0.75, 4 / 3), np.array([0] * 2 + [1] * 8, dtype=np.int64))
    groups = fewer.groups(np.arange(10), size=5, random=np.random.default_rng(0))
    assert {aspect for _, aspect in groups} == {4 / 3}


def test_the_shapes_come_in_random_order() -> None:
    groups = _some().groups(np.arange(200), size=8, random=np.random.default_rng(0))
    aspects = [aspect for _, aspect in groups]
    assert aspects != sorted(aspects)


def test_groups_are_drawn_anew_by_their_generator() -> None:
    shapes = _some()

    def drawn(seed: int) -> list[list[int]]:
        groups = shapes.groups(np.arange(200), size=16, random=np.random.default_rng(seed))
        return [places.tolist() for places, _ in groups]

    assert drawn(0) == drawn(0)
    assert {tuple(sorted(g)) for g in drawn(0)}.isdisjoint(tuple(sorted(g)) for g in drawn(1))


def test_places_are_those_of_the_photographs_given_not_of_all() -> None:
    shapes = _some()
    chosen = np.array([150, 3, 77, 42], dtype=np.int64)
    groups = shapes.groups(chosen, size=1, random=np.random.default_rng(0))
    for places, aspect in groups:
        assert ASPECTS[shapes.nearest[chosen[places[0]]]] == aspect
    assert sorted(int(places[0]) for places, _ in groups) == [0, 1, 2, 3]


def test_batches_to_embed_are_of_one_shape_without_exception() -> None:
    shapes = _some()
    chosen = np.random.default_rng(1).permutation(200)[:99].astype(np.int64)
    parts = shapes.alike(chosen, size=8)
    assert sorted(np.concatenate([places for places, _ in parts]).tolist()) == list(range(99))
    for places, aspect in parts:
        assert len(places) <= 8
        assert {ASPECTS[i] for i in shapes.nearest[chosen[places]]} == {aspect}


@pytest.mark.parametrize(("count", "sizes"), [(10, [4, 3, 3]), (8, [4, 4]), (3, [3]), (1, [1])])
def test_an_even_cut_leaves_no_tiny_batch(count: int, sizes: list[int]) -> None:
    assert [len(part) for part in evenly(np.arange(count), size=4)] == sizes
