"""Tuples: anchors with a positive and negatives, mined anew each epoch or at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from tests.training.photographs import listing
from training.data.shapes import Shapes
from training.data.specs import MinedTuplesSampling, RandomTuplesSampling
from training.data.tuple_samplers import MinedTuples, Pool, RandomTuples

LABELS = [c for c in range(20) for _ in range(1 + c % 5)]
COUNT = len(LABELS)
ROWS = np.random.default_rng(1).standard_normal((COUNT, 8)).astype(np.float32)
SHAPES = Shapes((0.75, 4 / 3), np.random.default_rng(2).integers(0, 2, COUNT))
RANDOM = RandomTuplesSampling(
    name="random_tuples", anchors=30, tuples=7, negatives=5, columns="teacher", aspects=(0.75, 1.33)
)
MINED = MinedTuplesSampling(
    name="mined_tuples",
    anchors=30,
    tuples=7,
    negatives=5,
    pool=40,
    mined_in="student",
    columns="student",
    aspects=(0.75, 1.33),
)


def _rows(photographs: NDArray[np.int64]) -> Vectors:
    rows = ROWS[photographs]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _random(seed: int = 0, *, rounds: int = 3) -> RandomTuples:
    return RandomTuples(listing(LABELS), SHAPES, RANDOM, seed=seed, rounds=rounds)


def _mined(seed: int = 0, *, rounds: int = 3) -> MinedTuples:
    return MinedTuples(listing(LABELS), SHAPES, MINED, Pool(_rows, _rows), seed=seed, rounds=rounds)


def _members(sampler: RandomTuples | MinedTuples, epoch: int) -> NDArray[np.int64]:
    choices = sampler.choices(epoch, sampler.mine(epoch))
    assert len(choices) == len(sampler) == 5
    return np.concatenate([choice.members for choice in choices])


@pytest.mark.parametrize("made", [_random, _mined])
def test_a_tuple_is_an_anchor_a_positive_and_negatives_of_other_classes(
    made: type[RandomTuples | MinedTuples],
) -> None:
    labels = np.array(LABELS)
    for epoch in range(4):
        members = _members(made(), epoch)
        assert members.shape == (30, 7)
        assert set((members // COUNT).ravel().tolist()) == {epoch % 3}
        photographs = members % COUNT
        assert len(set(photographs[:, 0].tolist())) == 30
        for anchor, positive, *negatives in photographs:
            assert anchor != positive
            assert labels[anchor] == labels[positive]
            classes = labels[negatives].tolist()
            assert len(set(classes)) == 5
            assert labels[anchor] not in classes


@pytest.mark.parametrize("made", [_random, _mined])
def test_tuples_are_a_function_of_seed_and_epoch(made: type[RandomTuples | MinedTuples]) -> None:
    np.testing.assert_array_equal(_members(made(1), 2), _members(made(1), 2))
    assert not np.array_equal(_members(made(1), 2), _members(made(2), 2))
    assert not np.array_equal(_members(made(1), 2) % COUNT, _members(made(1), 5) % COUNT)


def test_mined_negatives_are_the_pools_most_similar() -> None:
    """Whoever is not in the pool is further than the last negative, or of a class already there."""
    sampler = _mined()
    mined = sampler.mine(0)
    labels = np.array(LABELS)
    pool = np.random.default_rng((0, 0, 1)).choice(COUNT, size=40, replace=False)
    for anchor, _, *negatives in mined:
        assert set(negatives) <= set(pool.tolist())
        s = _rows(pool) @ _rows(np.array([anchor]))[0]
        taken: dict[int, int] = {}
        for place in np.argsort(-s):
            if labels[pool[place]] != labels[anchor]:
                taken.setdefault(int(labels[pool[place]]), int(pool[place]))
        assert negatives == list(taken.values())[:5]


def test_mining_sees_the_student_of_the_moment_and_remembers_it() -> None:
    """What `mine` returned is all that `choices` needs: a resumed run gets the same batches."""
    turned = np.roll(ROWS, 1, axis=0)

    def later(photographs: NDArray[np.int64]) -> Vectors:
        return turned[photographs] / np.linalg.norm(turned[photographs], axis=1, keepdims=True)

    sampler = _mined()
    after = replace(sampler, pool=Pool(later, later))
    mined = sampler.mine(3)
    assert not np.array_equal(mined, after.mine(3))
    np.testing.assert_array_equal(mined[:, :2], after.mine(3)[:, :2])
    for now, resumed in zip(sampler.choices(3, mined), after.choices(3, mined), strict=True):
        np.testing.assert_array_equal(now.members, resumed.members)


def test_the_same_tuples_are_batched_differently_in_another_epoch() -> None:
    sampler = _mined()
    mined = sampler.mine(3)

    def anchors(epoch: int) -> list[list[int]]:
        return [(c.members[:, 0] % COUNT).tolist() for c in sampler.choices(epoch, mined)]

    assert anchors(3) != anchors(4)


def test_anchors_and_pool_may_be_embedded_by_different_networks() -> None:
    asked: dict[str, list[int]] = {}

    def student(photographs: NDArray[np.int64]) -> Vectors:
        asked["student"] = photographs.tolist()
        return _rows(photographs)

    def teacher(photographs: NDArray[np.int64]) -> Vectors:
        asked["teacher"] = photographs.tolist()
        return _rows(photographs)

    sampler = replace(_mined(), pool=Pool(student, teacher))
    mined = sampler.mine(0)
    assert asked["student"] == mined[:, 0].tolist()
    assert len(asked["teacher"]) == len(set(asked["teacher"])) == 40
    assert set(mined[:, 2:].ravel().tolist()) <= set(asked["teacher"])


@pytest.mark.parametrize("made", [_random, _mined])
def test_batches_go_by_the_shape_of_their_anchors(made: type[RandomTuples | MinedTuples]) -> None:
    sampler = made()
    pure = 0
    for choice in sampler.choices(0, sampler.mine(0)):
        found = {SHAPES.aspects[i] for i in SHAPES.nearest[choice.members[:, 0] % COUNT]}
        assert choice.aspect in found
        assert choice.columns == sampler.spec.columns
        pure += len(found) == 1
    assert pure >= len(sampler) - 1


def test_known_pairs_are_the_only_ones_drawn() -> None:
    pairs = np.array([[1, 2], [4, 3], [8, 9]], dtype=np.int64)
    known = replace(listing(LABELS), pairs=pairs)
    sampler = RandomTuples(
        known, SHAPES, RANDOM.model_copy(update={"anchors": 3}), seed=0, rounds=1
    )
    members = np.concatenate([choice.members for choice in sampler.choices(0, None)])
    assert sorted(members[:, :2].tolist()) == pairs.tolist()


@pytest.mark.parametrize(
    ("labels", "anchors", "reason"),
    [
        ([0] * 9, 2, "expected 6 classes or more, because an anchor has 5 negatives.*found 1"),
        ([0, 0, 1, 2, 3, 4], 2, "expected 6 classes or more"),
        (list(range(9)), 1, "1 anchors, 0 photographs have a positive.*`labels`"),
        ([*range(9), 8], 3, "3 anchors, 2 photographs have a positive"),
    ],
)
def test_photographs_that_give_no_such_tuples_are_refused(
    labels: list[int], anchors: int, reason: str
) -> None:
    spec = RANDOM.model_copy(update={"anchors": anchors})
    with pytest.raises(InvalidConfiguration, match=reason):
        RandomTuples(listing(labels), SHAPES, spec, seed=0, rounds=1)


def test_a_class_of_one_photograph_gives_negatives_but_no_anchor() -> None:
    labels = [0, 0, 1, 2, 3, 4, 5]
    shapes = Shapes((1.0,), np.zeros(7, dtype=np.int64))
    spec = RANDOM.model_copy(update={"anchors": 2})
    sampler = RandomTuples(listing(labels), shapes, spec, seed=0, rounds=1)
    (choice,) = sampler.choices(0, None)
    assert sorted(choice.members[:, 0].tolist()) == [0, 1]
    assert {tuple(sorted(row[2:])) for row in choice.members.tolist()} == {(2, 3, 4, 5, 6)}
