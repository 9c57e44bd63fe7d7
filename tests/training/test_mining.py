"""Mining against slow loops; it takes pairs away and never changes what is wanted of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import Tensor

from training.mining import (
    HardestNegatives,
    Mining,
    MultiSimilarityMining,
    SemiHardNegatives,
    all_pairs,
)
from training.pairs import Identity, Pairs, pair_up

MININGS: list[Mining] = [
    all_pairs,
    MultiSimilarityMining(0.1),
    HardestNegatives(2),
    SemiHardNegatives(0.2),
]


def _random(seed: int, *, anchors: int = 6, others: int = 9) -> tuple[Tensor, Pairs]:
    random = torch.Generator().manual_seed(seed)
    s = torch.rand(anchors, others, generator=random) * 2 - 1
    y = (torch.rand(anchors, others, generator=random) < 0.4).float()
    mask = torch.rand(anchors, others, generator=random) < 0.8
    mask[0] = False
    y[1], y[2] = 1, 0
    return s, Pairs(y=y, mask=mask)


Slow = Callable[[list[float], list[int], list[int]], set[int]]
"""s of an anchor, its used positives and negatives: the columns kept."""


def _multi_similarity(s: list[float], positives: list[int], negatives: list[int]) -> set[int]:
    if not positives or not negatives:
        return set()
    least, most = min(s[p] for p in positives), max(s[n] for n in negatives)
    kept = {n for n in negatives if s[n] > least - 0.1}
    return kept | {p for p in positives if s[p] < most + 0.1}


def _hardest(s: list[float], positives: list[int], negatives: list[int]) -> set[int]:
    return set(positives) | set(sorted(negatives, key=lambda n: -s[n])[:2])


def _semi_hard(s: list[float], positives: list[int], negatives: list[int]) -> set[int]:
    kept = {n for n in negatives if any(s[n] < s[p] < s[n] + 0.2 for p in positives)}
    return set(positives) | kept


def _all(s: list[float], positives: list[int], negatives: list[int]) -> set[int]:
    return set(positives) | set(negatives)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("mining", "slow"),
    list(zip(MININGS, [_all, _multi_similarity, _hardest, _semi_hard], strict=True)),
    ids=["all", "multi-similarity", "hardest", "semi-hard"],
)
def test_mining_equals_a_slow_loop(mining: Mining, slow: Slow, seed: int) -> None:
    s, pairs = _random(seed)
    mined = mining(s, pairs)
    assert torch.equal(mined.y, pairs.y)
    for a in range(6):
        used = [x for x in range(9) if pairs.mask[a, x]]
        positives = [x for x in used if pairs.y[a, x] == 1]
        negatives = [x for x in used if pairs.y[a, x] == 0]
        kept = slow(s[a].tolist(), positives, negatives)
        assert {x for x in range(9) if mined.mask[a, x]} == kept, a


@pytest.mark.parametrize("mining", MININGS)
def test_no_mining_uses_a_pair_that_was_not_used(mining: Mining) -> None:
    for seed in range(5):
        s, pairs = _random(seed)
        assert not (mining(s, pairs).mask & ~pairs.mask).any()


def test_hardest_negatives_of_equal_similarity_are_as_many_as_asked() -> None:
    pairs = Pairs(y=torch.zeros(1, 5), mask=torch.ones(1, 5, dtype=torch.bool))
    assert int(HardestNegatives(2)(torch.zeros(1, 5), pairs).mask.sum()) == 2


def test_a_negative_exactly_as_similar_as_the_positive_is_not_semi_hard() -> None:
    pairs = Pairs(y=torch.tensor([[1.0, 0, 0]]), mask=torch.ones(1, 3, dtype=torch.bool))
    mined = SemiHardNegatives(0.5)(torch.tensor([[0.5, 0.5, 0.25]]), pairs)
    assert mined.mask.tolist() == [[True, False, True]]


def test_multi_similarity_mining_agrees_with_pytorch_metric_learning() -> None:
    random = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(24, 5, generator=random), dim=-1)
    labels = torch.arange(24) % 6
    miner = MultiSimilarityMiner(epsilon=0.1, distance=CosineSimilarity())
    a1, p, a2, n = miner(rows, labels)
    theirs = torch.zeros(24, 24, dtype=torch.bool)
    theirs[a1, p] = theirs[a2, n] = True
    who = Identity(ids=torch.arange(24), labels=labels)
    ours = MultiSimilarityMining(0.1)(rows @ rows.T, pair_up(who, who, self_pair="ignore"))
    assert torch.equal(ours.mask, theirs)
    assert 0 < int(theirs.sum()) < 24 * 23
