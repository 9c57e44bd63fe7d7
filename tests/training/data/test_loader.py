"""Batches: rendered ahead, each knowing who is compared with whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lorgnette.errors import InvalidImage
from lorgnette.image import read_image
from tests.training.photographs import crops, photographs, write_classes
from training.data.augment import squash
from training.data.catalogue import find_photographs
from training.data.choice import Images, Tuples
from training.data.loader import Order, Views, batches, everything, in_order
from training.data.specs import Source


@pytest.mark.parametrize("threads", [1, 3])
def test_prefetched_batches_are_the_ones_made_one_by_one(tmp_path: Path, threads: int) -> None:
    views = Views(photographs(tmp_path, 5), crops())
    plan = in_order(0, len(views), batch_size=3, size_px=16)
    ahead = list(batches(views, plan, threads=threads))
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
    views = Views(photographs(tmp_path, 5), crops())
    first = views.rounds(1)
    assert (len(views), len(first)) == (10, 5)
    order = in_order(0, 5, batch_size=5, size_px=16)[0]
    assert torch.equal(views.batch(order).images, first.batch(order).images)
    assert views.batch(order).who.labels.tolist() == [0, 1, 2, 3, 4]


def test_a_batch_of_tuples_pairs_an_anchor_with_its_own_members(tmp_path: Path) -> None:
    """Hand-worked: two tuples of anchor, positive and two negatives."""
    views = Views(photographs(tmp_path, 8), crops())
    members = np.array([[0, 8, 3, 4], [5, 6, 7, 1]], dtype=np.int64)
    own = [[True] * 4 + [False] * 4, [False] * 4 + [True] * 4]

    taught = views.batch(Order(Tuples(members, "teacher", aspect=1.5), 24, everything))
    assert taught.images.shape == (2, 3, 16, 24)
    assert taught.who.ids.tolist() == [0, 5]
    assert taught.anchors.tolist() == [0, 1]
    assert taught.others.ids.tolist() == [0, 8, 3, 4, 5, 6, 7, 1]
    assert taught.others.labels.tolist() == [0, 0, 3, 4, 5, 6, 7, 1]
    assert taught.used.tolist() == own

    alone = views.batch(Order(Tuples(members, "student", aspect=1.5), 24, everything))
    assert alone.images.shape == (8, 3, 16, 24)
    assert alone.who.ids.tolist() == [0, 8, 3, 4, 5, 6, 7, 1]
    assert alone.others is alone.who
    assert alone.anchors.tolist() == [0, 4]
    assert alone.used.tolist() == own
    assert torch.equal(alone.images[alone.anchors], taught.images)


def test_labels_are_those_of_the_photographs(tmp_path: Path) -> None:
    write_classes(tmp_path / "photos", [2, 1])
    source = {"folder": "photos", "splits": None, "role": None, "labels": "folder", "licence": "-"}
    found = find_photographs(tmp_path, [Source.model_validate(source)])
    numbers = np.array([0, 3, 2, 7], dtype=np.int64)
    assert Views(found, crops()).identity(numbers).labels.tolist() == [0, 0, 1, 0]


def test_a_process_renders_its_share_and_knows_the_whole(tmp_path: Path) -> None:
    views = Views(photographs(tmp_path, 5), crops())
    choice = Images(np.array([4, 1, 7], dtype=np.int64), aspect=1)
    whole = views.batch(Order(choice, 16, everything))
    parts = [views.batch(Order(choice, 16, lambda n, s=s: s)) for s in (slice(0, 1), slice(1, 3))]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    for part in parts:
        assert torch.equal(part.who.ids, whole.who.ids)
        assert torch.equal(part.used, whole.used)


def test_whole_photographs_have_the_numbers_of_the_first_round(tmp_path: Path) -> None:
    views = Views(photographs(tmp_path, 5), crops())
    assert len(views.whole()) == 5
    batch = views.whole().batch(in_order(0, 5, batch_size=5, size_px=16)[0])
    direct = [squash(read_image(p), height=16, width=16) for p in views.photographs.paths]
    assert torch.equal(batch.images, torch.stack(direct))
    assert batch.who.ids.tolist() == [0, 1, 2, 3, 4]


def test_a_batch_that_cannot_be_rendered_ends_the_others_and_names_the_file(
    tmp_path: Path,
) -> None:
    views = Views(photographs(tmp_path, 6), crops(whole_share=1, joined_share=0))
    views.photographs.paths[2].write_bytes(b"gone")
    made = batches(views, in_order(0, 6, batch_size=1, size_px=16), threads=2)
    assert next(made).who.ids.tolist() == [0]
    assert next(made).who.ids.tolist() == [1]
    with pytest.raises(InvalidImage, match=r"002\.jpg"):
        next(made)
