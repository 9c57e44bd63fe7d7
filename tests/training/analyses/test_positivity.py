"""Positivity by autograd against the closed form of multi-similarity."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from training.analyses.positivity import (
    closed_form,
    each_alone,
    multi_similarity_threshold,
    pulled,
)
from training.losses.pair import Contrastive, MultiSimilarity, PairLoss
from training.pairs import Pairs

SHARES = [0.02, 0.25, 0.5, 0.6, 0.99]


def _similarities(count: int = 4000) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.rand(count, generator=random, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("loss", [MultiSimilarity(17.97, 75.66, 0.77), MultiSimilarity(2, 40, 0.5)])
@pytest.mark.parametrize("share", SHARES)
def test_one_mixed_embedding_is_pulled_exactly_below_the_closed_form(
    loss: MultiSimilarity, share: float
) -> None:
    near = loss.base + math.log(share / (1 - share)) / (loss.alpha + loss.beta)
    s = torch.cat([_similarities(), near + torch.tensor([-1e-6, 1e-6], dtype=torch.float64)])
    threshold = multi_similarity_threshold(
        torch.tensor(share, dtype=torch.float64), alpha=loss.alpha, beta=loss.beta, base=loss.base
    )
    is_pulled = pulled(loss, *each_alone(s, torch.full_like(s, share)))
    assert torch.equal(is_pulled[:, 0], s <= threshold)
    assert is_pulled[:, 0].double().mean() == closed_form(s, threshold)
    assert 0 < closed_form(s, threshold) < 1


def test_the_closed_form_worked_by_hand() -> None:
    # ln(3) / (2 + 40) = 0.0261574354: λ = 3/4 moves the base 0.5 up by it, 1/4 down.
    share = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    found = multi_similarity_threshold(share, alpha=2, beta=40, base=0.5)
    expected = torch.tensor([0.4738425646, 0.5, 0.5261574354], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    s = torch.tensor([0.1, 0.5, 0.52, 0.9], dtype=torch.float64)
    assert closed_form(s, found[1]) == 0.5
    assert closed_form(s, found[2]) == 0.75


def test_among_others_a_mixed_embedding_may_turn() -> None:
    """Why the closed form is of one alone: a near positive takes over the pull, s = 0.6 flips."""
    loss = MultiSimilarity(alpha=2, beta=40, base=0.5)
    s = torch.tensor([[0.49, -0.9]], dtype=torch.float64)
    mixed = torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    alone = Pairs(y=mixed, mask=torch.tensor([[True, False]]))
    together = Pairs(y=mixed, mask=torch.tensor([[True, True]]))
    assert pulled(loss, s, alone).tolist() == [[True, False]]
    assert pulled(loss, s, together).tolist() == [[False, True]]


@pytest.mark.parametrize("loss", [Contrastive(margin_cosine=0.5), MultiSimilarity(2, 40, 0.5)])
def test_a_positive_is_pulled_a_near_negative_is_not_and_the_unused_do_not_count(
    loss: PairLoss,
) -> None:
    s = torch.full((2, 3), 0.8, dtype=torch.float64)
    y = torch.tensor([[1.0, 0, 1], [0, 1, 0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [True, True, False]])
    expected = [[True, False, False], [False, True, False]]
    assert pulled(loss, s, Pairs(y=y, mask=mask)).tolist() == expected
