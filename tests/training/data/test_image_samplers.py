"""Samplers of images: every image once, classes balanced, all a function of (seed, epoch)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import TypeAdapter

from lorgnette.errors import InvalidConfiguration
from tests.training.photographs import listing
from training.data.image_samplers import Balanced, GroupSize, RandomImages, ShuffledViews
from training.data.shapes import Shapes
from training.data.specs import (
    BalancedSampling,
    GroupSizeSampling,
    RandomSampling,
    Sampling,
    ViewsSampling,
)

ImageSampler = ShuffledViews | RandomImages | Balanced | GroupSize
LABELS = [c for c in range(12) for _ in range(3 + c % 4)]
COUNT = len(LABELS)


def _views(seed: int) -> ShuffledViews:
    return ShuffledViews(2 * COUNT, ViewsSampling(name="views", batch_size=8), seed=seed)


def _random(seed: int) -> RandomImages:
    spec = RandomSampling(name="random", batch_size=8)
    return RandomImages(listing(LABELS), spec, seed=seed, rounds=2)


def _balanced(seed: int, *, rounds: int = 4) -> Balanced:
    spec = BalancedSampling(name="balanced", classes=5, per_class=4)
    return Balanced(listing(LABELS), spec, seed=seed, rounds=rounds)


def _group_size(seed: int) -> GroupSize:
    shapes = Shapes((0.75, 1.0, 1.5), np.random.default_rng(9).integers(0, 3, COUNT))
    spec = GroupSizeSampling(name="group_size", batch_size=8, aspects=shapes.aspects)
    return GroupSize(shapes, spec, seed=seed, rounds=2)


def _numbers(sampler: ImageSampler, epoch: int) -> list[list[int]]:
    return [choice.numbers.tolist() for choice in sampler.choices(epoch, None)]


@pytest.mark.parametrize("made", [_views, _random, _balanced, _group_size])
def test_an_epoch_is_a_function_of_seed_and_number(made: type[ImageSampler]) -> None:
    first = _numbers(made(3), 5)
    assert first == _numbers(made(3), 5)
    assert first != _numbers(made(4), 5)
    assert first != _numbers(made(3), 6)
    assert len(made(3)) == len(first)
    assert made(3).mine(5) is None


@pytest.mark.parametrize("made", [_views, _random, _group_size])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_an_epoch_shows_everything_once(made: type[ImageSampler], epoch: int) -> None:
    shown = sorted(np.concatenate(_numbers(made(0), epoch)).tolist())
    if made is _views:
        assert shown == list(range(2 * COUNT))
    else:
        first = epoch % 2 * COUNT
        assert shown == list(range(first, first + COUNT))


def test_shuffled_views_are_the_shipped_recipes() -> None:
    """One permutation by (seed, epoch), cut in eights: a checkpoint made before goes on."""
    order = np.random.default_rng((7, 3)).permutation(2 * COUNT).tolist()
    assert _numbers(_views(7), 3) == [order[s : s + 8] for s in range(0, 2 * COUNT, 8)]


def test_a_balanced_batch_has_so_many_of_so_many_classes_and_no_view_twice() -> None:
    sampler, labels = _balanced(0), np.array(LABELS)
    for epoch in range(6):
        seen: list[int] = []
        for batch in _numbers(sampler, epoch):
            classes, counts = np.unique(labels[np.array(batch) % COUNT], return_counts=True)
            assert len(classes) == 5
            assert set(counts.tolist()) == {4}
            assert len(set(batch)) == 20
            seen += classes.tolist()
        assert len(seen) == len(set(seen)) == 10


def test_a_small_class_shows_a_photograph_again_only_after_all_of_it() -> None:
    """Class 0 has three photographs, a batch takes four."""
    batches = [batch for epoch in range(8) for batch in _numbers(_balanced(0), epoch)]
    shown = [[n for n in batch if n % COUNT < 3] for batch in batches]
    shown = [numbers for numbers in shown if numbers]
    assert shown
    for numbers in shown:
        assert {n % COUNT for n in numbers} == {0, 1, 2}
        assert len({n // COUNT for n in numbers}) == 2


def test_a_class_goes_on_to_views_it_has_not_shown() -> None:
    """Class 0 needs two views an epoch, class 3 with six photographs one; there are four."""
    shown: dict[int, dict[int, set[int]]] = {0: {}, 3: {}}
    for epoch in range(8):
        for n in (n for batch in _numbers(_balanced(0), epoch) for n in batch):
            if LABELS[n % COUNT] in shown:
                shown[LABELS[n % COUNT]].setdefault(epoch, set()).add(n // COUNT)
    assert len(shown[0]) >= 4
    assert all(views == {2 * epoch % 4, (2 * epoch + 1) % 4} for epoch, views in shown[0].items())
    assert all(views == {epoch % 4} for epoch, views in shown[3].items())


def test_all_classes_are_shown_in_the_long_run() -> None:
    shown = {n % COUNT for epoch in range(30) for b in _numbers(_balanced(0), epoch) for n in b}
    assert shown == set(range(COUNT))


@pytest.mark.parametrize(
    ("labels", "rounds", "reason"),
    [
        ([0, 0, 1, 1, 2, 2, 3, 3, 4], 9, "1 classes have one photograph, the first is class 4"),
        ([0, 0, 1, 1], 9, "expected 5 classes or more"),
        ([0, 0, 0], 9, "expected 5 classes or more.*found 1"),
        ([0, 0, 1, 1, 2, 2, 3, 3, 4, 4], 1, "crops.per_photograph must be 2 at least"),
    ],
)
def test_classes_that_cannot_be_balanced_are_named(
    labels: list[int], rounds: int, reason: str
) -> None:
    spec = BalancedSampling(name="balanced", classes=5, per_class=4)
    with pytest.raises(InvalidConfiguration, match=reason):
        Balanced(listing(labels), spec, seed=0, rounds=rounds)


def test_one_class_in_all_cannot_be_told_from_others() -> None:
    spec = RandomSampling(name="random", batch_size=8)
    with pytest.raises(InvalidConfiguration, match="expected 2 classes or more"):
        RandomImages(listing([0] * 9), spec, seed=0, rounds=1)


def test_the_batches_of_a_group_take_its_shape() -> None:
    sampler = _group_size(0)
    pure = 0
    for choice in sampler.choices(0, None):
        found = {sampler.shapes.aspects[i] for i in sampler.shapes.nearest[choice.numbers]}
        assert choice.aspect in found
        pure += len(found) == 1
    assert pure >= len(sampler) - 2


@pytest.mark.parametrize(
    ("sampling", "reason"),
    [
        ({"name": "random", "batch_size": 1}, "greater than or equal to 2"),
        ({"name": "balanced", "classes": 4, "per_class": 1}, "greater than or equal to 2"),
        ({"name": "balanced", "classes": 4}, "per_class"),
        ({"name": "group_size", "batch_size": 4, "aspects": []}, "at least 1 item"),
        ({"name": "group_size", "batch_size": 4, "aspects": [0.0]}, "greater than 0"),
        ({"name": "group_size", "batch_size": 4, "aspects": [1, 1.0]}, "aspects: each once"),
        ({"name": "balancd", "classes": 4, "per_class": 2}, "does not match any of the expected"),
    ],
)
def test_a_wrong_sampling_names_its_key(sampling: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TypeAdapter(Sampling).validate_json(json.dumps(sampling))


def test_photographs_without_labels_are_sampled_by_their_views() -> None:
    """RAML: a batch is several augmentations of each of some images."""
    spec = BalancedSampling(name="balanced", classes=2, per_class=3)
    sampler = Balanced(listing([0, 1, 2, 3]), spec, seed=0, rounds=3)
    for choice in sampler.choices(0, None):
        photographs, views = choice.numbers % 4, choice.numbers // 4
        assert sorted(np.bincount(photographs, minlength=4)) == [0, 0, 3, 3]
        assert views.tolist() == [0, 1, 2] * 2
