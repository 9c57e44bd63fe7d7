"""What each pair loss is in particular: how it relates to its paper's form and to the others."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.training.losses import reference
from tests.training.losses.cases import cosines, embeddings, hard_pairs, soft_pairs
from training.losses.additive import Additive, Linear, Log1p
from training.losses.pair import (
    Contrastive,
    ContrastiveDistance,
    ContrastiveNonZero,
    MultiSimilarity,
    Regression,
    Triplet,
    TripletSquared,
)
from training.losses.proxy import ArcFace, ProxyAnchor, ProxyNca
from training.pairs import Identity, Pairs, pair_up

WHO = Identity(ids=torch.arange(6), labels=torch.tensor([0, 0, 1, 1, 1, 2]))


def identity(x: float) -> float:
    return x


def test_regression_is_half_the_squared_distance_to_the_positives() -> None:
    a, x = embeddings(4, 6, seed=0), embeddings(4, 6, seed=1)
    pairs = Pairs(y=torch.ones(4, 4, dtype=torch.float64), mask=torch.eye(4, dtype=torch.bool))
    slow = sum(float(((a[i] - x[i]) ** 2).sum()) / 2 for i in range(4)) / 4
    assert float(Regression()(a @ x.T, pairs)) == pytest.approx(slow, rel=1e-12)


@pytest.mark.parametrize(
    "loss", [Contrastive(margin_cosine=0.2), ContrastiveDistance(margin_distance=0.7)], ids=str
)
def test_with_the_self_pair_contrastive_is_contrastive_plus_regression(
    loss: Contrastive | ContrastiveDistance,
) -> None:
    """AML's Contr⁺."""
    s = embeddings(6, 4, seed=2) @ embeddings(6, 4, seed=3).T
    plus = loss(s, pair_up(WHO, WHO, self_pair="positive"))
    plain = loss(s, pair_up(WHO, WHO, self_pair="ignore"))
    regression = Regression()(s, pair_up(WHO, WHO, self_pair="only"))
    torch.testing.assert_close(plus, plain + regression, rtol=1e-12, atol=0)


def test_contrastive_is_the_papers_with_one_more_for_each_positive() -> None:
    s, pairs = cosines(5, 7, seed=4), hard_pairs(5, 7, seed=4)
    paper = (pairs.pos * -s + pairs.neg * (s - 0.3).relu()).sum() / 5
    ours = Contrastive(margin_cosine=0.3)(s, pairs)
    torch.testing.assert_close(ours, paper + pairs.pos.sum() / 5, rtol=1e-12, atol=0)


@pytest.mark.parametrize("s", [0.754, 0.756])
def test_the_released_margin_of_0_7_begins_at_the_cosine_0_755(s: float) -> None:
    negative = Pairs(y=torch.zeros(1, 1), mask=torch.ones(1, 1, dtype=torch.bool))
    cost = ContrastiveDistance(margin_distance=0.7)(torch.full((1, 1), s), negative)
    assert (float(cost) > 0) == (s > 1 - 0.7**2 / 2)


def test_what_costs_nothing_is_not_counted_by_the_mean_over_non_zero_terms() -> None:
    """Positives at distance 0 and 1, negatives at 1 and beyond the margin: means of one each."""
    s = torch.tensor([[1.0, 0.5], [0.5, -1.0]], dtype=torch.float64)
    y = torch.tensor([[1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    loss = ContrastiveNonZero(margin_distance=1.5)
    pairs = Pairs(y=y, mask=torch.ones(2, 2, dtype=torch.bool))
    assert float(loss(s, pairs)) == pytest.approx(1 + 0.5, rel=1e-12)


def test_a_squared_distance_triplet_is_twice_a_cosine_one_of_half_the_margin() -> None:
    a, x = embeddings(6, 5, seed=5), embeddings(9, 5, seed=6)
    pairs = hard_pairs(6, 9, seed=5)
    squared = torch.cdist(a, x).square().tolist()
    slow = 0.0
    for i in range(6):
        for p in range(9):
            for n in range(9):
                if pairs.pos[i, p] and pairs.neg[i, n]:
                    slow += max(squared[i][p] - squared[i][n] + 0.7, 0) / 6
    s = a @ x.T
    assert float(TripletSquared(margin_squared_distance=0.7)(s, pairs)) == pytest.approx(slow)
    assert 2 * float(Triplet(margin_cosine=0.35)(s, pairs)) == pytest.approx(slow)


def test_proxy_anchor_has_two_denominators() -> None:
    """One proxy of three has a positive: pulling is divided by 1, pushing by 3."""
    s = torch.tensor([[0.5, 0.1, -0.2], [0.3, 0.2, 0.0]], dtype=torch.float64)
    y = torch.tensor([[1.0, 0, 0], [1.0, 0, 0]], dtype=torch.float64)
    pull = math.log(1 + math.exp(-2 * (0.5 - 0.1)) + math.exp(-2 * (0.3 - 0.1)))
    push = math.log(1 + math.exp(2 * 0.2) + math.exp(2 * 0.3)) + math.log(
        1 + math.exp(2 * -0.1) + math.exp(2 * 0.1)
    )
    pairs = Pairs(y=y, mask=torch.ones_like(y, dtype=torch.bool))
    loss = float(ProxyAnchor(alpha=2, margin_cosine=0.1)(s, pairs))
    assert loss == pytest.approx(pull / 1 + push / 3, rel=1e-12)


def test_a_proxy_without_a_used_pair_counts_in_neither_denominator() -> None:
    s, y = cosines(4, 3, seed=10), torch.eye(4, 3, dtype=torch.float64)
    mask = torch.tensor([True, False, True]).expand(4, 3)
    loss = ProxyAnchor(alpha=4, margin_cosine=0.1)
    kept = [0, 2]
    without = loss(s[:, kept], Pairs(y=y[:, kept], mask=mask[:, kept]))
    torch.testing.assert_close(loss(s, Pairs(y=y, mask=mask)), without, rtol=1e-12, atol=0)


def test_the_temperature_of_proxy_nca_is_of_the_squared_distance() -> None:
    """Twice the cosine over T: a softmax of the cosine has the temperature T/2."""
    s, y = cosines(5, 4, seed=7), torch.eye(5, 4, dtype=torch.float64)
    pairs = Pairs(y=y, mask=torch.ones(5, 4, dtype=torch.bool))
    by_cosine = torch.nn.functional.cross_entropy(s[:4] / 0.1, torch.arange(4), reduction="sum") / 5
    torch.testing.assert_close(ProxyNca(temperature=0.2)(s, pairs), by_cosine, rtol=1e-12, atol=0)


def test_arcface_without_a_margin_is_a_cross_entropy() -> None:
    s, labels = cosines(5, 7, seed=8), torch.tensor([0, 3, 6, 3, 2])
    y = torch.nn.functional.one_hot(labels, 7).double()
    pairs = Pairs(y=y, mask=torch.ones(5, 7, dtype=torch.bool))
    loss = ArcFace(scale=20, margin_radians=0)(s, pairs)
    torch.testing.assert_close(
        loss, torch.nn.functional.cross_entropy(20 * s, labels), rtol=1e-12, atol=0
    )


def test_the_arcface_logit_never_falls_with_the_cosine() -> None:
    """cos(θ + m) alone rises again beyond θ = π - m: then a worse anchor would cost less."""
    s = torch.linspace(-1, 1, 400, dtype=torch.float64)[:, None].expand(400, 2).clone()
    s[:, 1] = 0
    y = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(400, 2)
    loss = ArcFace(scale=10, margin_radians=0.5)
    one = torch.ones(1, 2, dtype=torch.bool)
    costs = torch.stack([loss(s[i : i + 1], Pairs(y=y[:1], mask=one)) for i in range(400)])
    assert torch.all(costs.diff() < 0)


seeds = st.integers(0, 10**6)
sharpness = st.floats(0.5, 40)
margins = st.floats(-0.9, 0.9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=seeds, anchors=st.integers(1, 5), others=st.integers(1, 6), m=margins, k=sharpness)
def test_the_additive_losses_are_their_four_functions(
    seed: int, anchors: int, others: int, m: float, k: float
) -> None:
    """σ⁺(Σ y ρ⁺) + σ⁻(Σ (1 - y) ρ⁻), term by term, with soft labels."""
    s, pairs = cosines(anchors, others, seed=seed), soft_pairs(anchors, others, seed=seed)
    given_ = (s.tolist(), pairs.y.tolist(), pairs.mask.tolist())
    contrastive = reference.additive(
        *given_,
        sigma_plus=identity,
        sigma_minus=identity,
        rho_plus=lambda x: 1 - x,
        rho_minus=lambda x: max(x - m, 0),
    )
    multi_similarity = reference.additive(
        *given_,
        sigma_plus=lambda x: math.log1p(x) / k,
        sigma_minus=lambda x: math.log1p(x) / (2 * k),
        rho_plus=lambda x: math.exp(-k * (x - m)),
        rho_minus=lambda x: math.exp(2 * k * (x - m)),
    )
    assert float(Contrastive(margin_cosine=m)(s, pairs)) == pytest.approx(contrastive, rel=1e-12)
    loss = MultiSimilarity(alpha=k, beta=2 * k, base=m)
    assert float(loss(s, pairs)) == pytest.approx(multi_similarity, rel=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=seeds, k=st.floats(0.05, 4))
def test_the_proxy_losses_are_additive_too(seed: int, k: float) -> None:
    """ProxyAnchor over proxies as rows, ProxyNCA++ with every used proxy in its denominator."""
    s, pairs = cosines(4, 5, seed=seed), soft_pairs(4, 5, seed=seed)
    every = Pairs(y=pairs.y.clamp(0.01, 1), mask=torch.ones_like(pairs.mask))
    anchor = 5 * reference.additive(
        *(s.T.tolist(), every.y.T.tolist(), every.mask.T.tolist()),
        sigma_plus=lambda x: math.log1p(x) / 5,
        sigma_minus=lambda x: math.log1p(x) / 5,
        rho_plus=lambda x: math.exp(-k * (x - 0.1)),
        rho_minus=lambda x: math.exp(k * (x + 0.1)),
    )
    assert float(ProxyAnchor(alpha=k, margin_cosine=0.1)(s, every)) == pytest.approx(anchor)

    def numerator_and_denominator(a: int) -> float:
        weighted = sum(every.y[a, x].item() * math.exp(2 * s[a, x].item() / k) for x in range(5))
        return -math.log(weighted) + math.log(
            sum(math.exp(2 * s[a, x].item() / k) for x in range(5))
        )

    nca = sum(map(numerator_and_denominator, range(4))) / 4
    assert float(ProxyNca(temperature=k)(s, every)) == pytest.approx(nca, rel=1e-10)


def test_an_additive_loss_of_ones_own_needs_no_class() -> None:
    """Lifted structure without its margin, from the two sides it names."""
    loss = Additive(pull=Linear(lambda s: (0.9 - s).relu()), push=Log1p(lambda s: 5 * s, divisor=5))
    s, pairs = cosines(4, 5, seed=9), soft_pairs(4, 5, seed=9)
    slow = reference.additive(
        s.tolist(),
        pairs.y.tolist(),
        pairs.mask.tolist(),
        sigma_plus=identity,
        sigma_minus=lambda x: math.log1p(x) / 5,
        rho_plus=lambda x: max(0.9 - x, 0),
        rho_minus=lambda x: math.exp(5 * x),
    )
    assert float(loss(s, pairs)) == pytest.approx(slow, rel=1e-12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    seed=seeds,
    share=st.floats(0.02, 0.98),
    alpha=st.floats(1, 40),
    beta=st.floats(1, 80),
    base=st.floats(-0.2, 0.9),
)
def test_a_mixed_embedding_is_positive_for_multi_similarity_as_the_closed_form_says(
    seed: int, share: float, alpha: float, beta: float, base: float
) -> None:
    """One mixed embedding v of label λ attracts, ∂ℓ/∂s <= 0, iff s <= m + ln(λ/(1 - λ))/(α + β).

    Metrix's positivity, of v = unit(λ p + (1 - λ) n).
    """
    a, p, n = embeddings(3, 4, seed=seed)
    v = torch.nn.functional.normalize(share * p + (1 - share) * n, dim=0)
    s = (a @ v).reshape(1, 1).requires_grad_()
    threshold = base + math.log(share / (1 - share)) / (alpha + beta)
    assume(abs(s.item() - threshold) > 1e-6)
    pairs = Pairs(
        y=torch.full((1, 1), share, dtype=torch.float64), mask=torch.ones(1, 1, dtype=torch.bool)
    )
    torch.autograd.backward(MultiSimilarity(alpha=alpha, beta=beta, base=base)(s, pairs))
    assert s.grad is not None
    assert (s.grad.item() <= 0) == (s.item() <= threshold)
