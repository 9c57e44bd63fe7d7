"""Which pairs there are, what is wanted of them, and which batches teach nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lorgnette.errors import InvalidConfiguration
from training.objective_spec import SelfPair
from training.pairs import Identity, Pairs, pair_up, require_both, require_positives, same_view


def _identity(ids: list[int], labels: list[int]) -> Identity:
    return Identity(ids=torch.tensor(ids), labels=torch.tensor(labels))


@pytest.mark.parametrize(
    ("self_pair", "mask"),
    [
        ("only", [[True, False, False], [False, True, False]]),
        ("ignore", [[False, True, True], [True, False, True]]),
        ("positive", [[True, True, True], [True, True, True]]),
    ],
)
def test_the_self_pair_sets_the_diagonal(self_pair: SelfPair, mask: list[list[bool]]) -> None:
    anchors, others = _identity([10, 11], [1, 2]), _identity([10, 11, 12], [1, 2, 1])
    pairs = pair_up(anchors, others, self_pair=self_pair)
    assert pairs.mask.tolist() == mask
    assert pairs.y.tolist() == [[1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("self_pair", ["ignore", "positive", "only"])
def test_pairs_of_any_anchors_and_others_equal_a_slow_loop(self_pair: SelfPair) -> None:
    random = torch.Generator().manual_seed(0)
    ids, labels = (torch.randint(0, high, (15,), generator=random) for high in (12, 4))
    labels = labels[ids % 7]
    anchors, others = Identity(ids[:6], labels[:6]), Identity(ids[6:], labels[6:])
    used = torch.rand(6, 9, generator=random) < 0.7
    pairs = pair_up(anchors, others, self_pair=self_pair).within(used)
    for a in range(6):
        for x in range(9):
            own = int(anchors.ids[a]) == int(others.ids[x])
            same = own or int(anchors.labels[a]) == int(others.labels[x])
            counts = {"ignore": not own, "positive": True, "only": own}[self_pair]
            assert bool(pairs.mask[a, x]) == (counts and bool(used[a, x]))
            assert float(pairs.y[a, x]) == float(same)
            assert float(pairs.pos[a, x]) == float(same and pairs.mask[a, x])
            assert float(pairs.neg[a, x]) == float(not same and pairs.mask[a, x])


def test_positive_and_negative_shares_of_a_used_pair_add_up_to_one() -> None:
    y = torch.tensor([[0.3, 1.0, 0.0], [0.5, 0.2, 0.9]])
    mask = torch.tensor([[True, True, False], [True, False, True]])
    pairs = Pairs(y=y, mask=mask)
    torch.testing.assert_close(pairs.pos + pairs.neg, mask.float())
    torch.testing.assert_close(pairs.T.pos, pairs.pos.T)


def test_an_identity_is_that_of_the_rows_taken() -> None:
    taken = _identity([5, 6, 7], [0, 1, 2]).at(torch.tensor([2, 0]))
    assert (taken.ids.tolist(), taken.labels.tolist()) == ([7, 5], [2, 0])
    assert same_view(taken, _identity([7, 7], [2, 2])).tolist() == [[True, True], [False, False]]


def _pairs(y: list[list[float]], mask: list[list[bool]]) -> Pairs:
    return Pairs(y=torch.tensor(y), mask=torch.tensor(mask))


MASKED = _pairs([[1, 0]], [[False, False]])
NO_POSITIVE = _pairs([[1, 0]], [[False, True]])
ONE_CLASS = _pairs([[1, 1]], [[True, True]])
NO_COLUMNS = Pairs(y=torch.zeros(3, 0), mask=torch.zeros(3, 0, dtype=torch.bool))


@pytest.mark.parametrize(
    ("required", "pairs", "way_out"),
    [
        (require_positives, MASKED, "another sampling"),
        (require_positives, NO_COLUMNS, "another sampling"),
        (require_positives, NO_POSITIVE, "two images of each class"),
        (require_both, MASKED, "another sampling"),
        (require_both, NO_POSITIVE, "two images of each class"),
        (require_both, ONE_CLASS, "two or more classes"),
    ],
)
def test_a_batch_that_teaches_nothing_says_the_way_out(
    required: Callable[[Pairs], Pairs], pairs: Pairs, way_out: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=way_out):
        required(pairs)


def test_a_batch_that_teaches_passes_unchanged() -> None:
    both = _pairs([[1, 0]], [[True, True]])
    assert require_both(both) is both
    assert require_positives(ONE_CLASS) is ONE_CLASS
