"""What is true of every loss: against its slow loop, its gradient, its order, its extremes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from tests.training.losses.cases import (
    HARD_ONLY_CASES,
    PAIR_CASES,
    RELATIONAL_CASES,
    RTOL,
    SOFT_CASES,
    PairCase,
    Relation,
    RelationalCase,
    cosines,
    generator,
    hard_pairs,
    slow,
    slow_relational,
    soft_pairs,
)
from training.losses.proxy import ArcFace
from training.losses.relational import Csd
from training.pairs import Pairs

pair_losses = pytest.mark.parametrize("case", PAIR_CASES, ids=str)
soft_losses = pytest.mark.parametrize("case", SOFT_CASES, ids=str)
hard_only_losses = pytest.mark.parametrize("case", HARD_ONLY_CASES, ids=str)
relational_losses = pytest.mark.parametrize("case", RELATIONAL_CASES, ids=str)


@dataclass(frozen=True)
class Problem:
    """A loss as a function of the student's similarities alone, and what it should give.

    permuted: the same loss of the same problem with its columns in another order.
    """

    s: Tensor
    loss: Callable[[Tensor], Tensor]
    slow: Callable[[], float]
    permuted: Callable[[], Tensor]


def hard_problem(case: PairCase, dtype: torch.dtype) -> Problem:
    return _pair_problem(case, hard_pairs(6, 9, seed=3), dtype)


def soft_problem(case: PairCase, dtype: torch.dtype) -> Problem:
    return _pair_problem(case, soft_pairs(6, 9, seed=3), dtype)


def _pair_problem(case: PairCase, pairs: Pairs, dtype: torch.dtype) -> Problem:
    s = cosines(6, 9, seed=4).to(dtype)
    order = torch.randperm(9, generator=generator(5))
    other_way = Pairs(y=pairs.y[:, order], mask=pairs.mask[:, order])
    return Problem(
        s,
        lambda x: case.loss(x, Pairs(y=pairs.y.to(dtype), mask=pairs.mask)),
        lambda: slow(case, s.double(), pairs),
        lambda: case.loss(s[:, order], other_way),
    )


def relational_problem(case: RelationalCase, dtype: torch.dtype) -> Problem:
    given = case.draw(6).to(dtype)
    permute = given.views_in if case.is_square else given.columns_in
    order = torch.randperm(given.s.shape[-1], generator=generator(7))

    def permuted() -> Tensor:
        there = permute(order) if given.own.numel() else _with_books(given, order)
        return case.loss(there.s, there.t, there.own)

    return Problem(
        given.s,
        lambda x: case.loss(x, given.t, given.own),
        lambda: slow_relational(case, given.to(torch.float64)),
        permuted,
    )


def _with_books(given: Relation, order: Tensor) -> Relation:
    """Of codebooks the centroids in another order; own has no columns to reorder."""
    return Relation(given.s[..., order], given.t[..., order], given.own)


Draw = Callable[[torch.dtype], Problem]


def _named(name: str, case: object, draw: Callable[..., Problem]) -> object:
    return pytest.param(lambda dtype: draw(case, dtype), id=f"{case}-{name}")


every_problem = pytest.mark.parametrize(
    "draw",
    [_named("hard", case, hard_problem) for case in PAIR_CASES]
    + [_named("soft", case, soft_problem) for case in SOFT_CASES]
    + [_named("relational", case, relational_problem) for case in RELATIONAL_CASES],
)


@every_problem
@pytest.mark.parametrize("dtype", RTOL, ids=str)
def test_it_is_its_formula(draw: Draw, dtype: torch.dtype) -> None:
    problem = draw(dtype)
    value = problem.loss(problem.s)
    assert value.dtype == dtype
    assert float(value) == pytest.approx(problem.slow(), rel=RTOL[dtype], abs=0)


@every_problem
def test_its_gradient_is_the_numerical_one(draw: Draw) -> None:
    problem = draw(torch.float64)
    assert torch.autograd.gradcheck(problem.loss, (problem.s.clone().requires_grad_(),))


@every_problem
def test_it_is_a_scalar_not_below_0_that_moves_the_student(draw: Draw) -> None:
    problem = draw(torch.float64)
    s = problem.s.clone().requires_grad_()
    value = problem.loss(s)
    torch.autograd.backward(value)
    assert value.shape == ()
    assert value.item() > 0
    assert s.grad is not None
    assert torch.any(s.grad != 0)


@every_problem
def test_the_order_of_the_columns_does_not_matter(draw: Draw) -> None:
    problem = draw(torch.float64)
    torch.testing.assert_close(problem.permuted(), problem.loss(problem.s), rtol=1e-12, atol=0)


@every_problem
@pytest.mark.parametrize("dtype", RTOL, ids=str)
@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0, 1.0000001])
def test_extreme_similarities_are_finite(draw: Draw, dtype: torch.dtype, value: float) -> None:
    """1.0000001: what rounding makes of the cosine of two equal rows."""
    problem = draw(dtype)
    _assert_finite(problem.loss, torch.full_like(problem.s, value))


@every_problem
def test_half_the_similarities_extreme_are_finite(draw: Draw) -> None:
    problem = draw(torch.float32)
    sign = torch.where(problem.s > 0, 1.0, -1.0)
    _assert_finite(problem.loss, sign)


def _assert_finite(loss: Callable[[Tensor], Tensor], s: Tensor) -> None:
    s = s.clone().requires_grad_()
    value = loss(s)
    torch.autograd.backward(value)
    assert torch.isfinite(value)
    assert s.grad is not None
    assert torch.isfinite(s.grad).all()


@pair_losses
@pytest.mark.parametrize("shape", [(4, 5), (0, 5), (4, 0)], ids=str)
def test_a_batch_with_no_used_pair_costs_nothing(case: PairCase, shape: tuple[int, int]) -> None:
    for label in (0.0, 1.0):
        s = cosines(*shape, seed=8).requires_grad_()
        y = torch.full(shape, label, dtype=torch.float64)
        value = case.loss(s, Pairs(y=y, mask=torch.zeros(shape, dtype=torch.bool)))
        torch.autograd.backward(value)
        assert value.item() == 0
        assert s.grad is not None
        assert torch.all(s.grad == 0)


@pair_losses
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_batch_of_one_kind_of_pair_is_finite(case: PairCase, label: float) -> None:
    y = torch.full((4, 5), label)
    pairs = Pairs(y=y, mask=torch.ones(4, 5, dtype=torch.bool))
    _assert_finite(lambda s: case.loss(s, pairs), cosines(4, 5, seed=9).float())


@pair_losses
def test_a_masked_pair_has_no_gradient(case: PairCase) -> None:
    pairs = hard_pairs(6, 9, seed=10)
    s = cosines(6, 9, seed=11).requires_grad_()
    torch.autograd.backward(case.loss(s, pairs))
    assert s.grad is not None
    assert torch.all(s.grad[~pairs.mask] == 0)


@pair_losses
def test_what_a_masked_pair_is_does_not_matter(case: PairCase) -> None:
    pairs = hard_pairs(6, 9, seed=10)
    s = cosines(6, 9, seed=11)
    otherwise = Pairs(y=torch.where(pairs.mask, pairs.y, 1 - pairs.y), mask=pairs.mask)
    moved = torch.where(pairs.mask, s, -s)
    torch.testing.assert_close(case.loss(moved, otherwise), case.loss(s, pairs), rtol=1e-12, atol=0)


@pair_losses
def test_positives_attract_and_negatives_repel(case: PairCase) -> None:
    pairs = hard_pairs(6, 9, seed=12)
    if isinstance(case.loss, ArcFace):  # Of two positives of a softmax the nearer one repels.
        pairs = Pairs(y=pairs.y * (pairs.pos.cumsum(1) <= 1), mask=pairs.mask)
    s = cosines(6, 9, seed=13).requires_grad_()
    torch.autograd.backward(case.loss(s, pairs))
    assert s.grad is not None
    assert torch.all(s.grad[pairs.pos > 0] <= 0)
    assert torch.all(s.grad[pairs.neg > 0] >= 0)
    assert torch.any(s.grad[pairs.pos > 0] < 0)


@soft_losses
def test_soft_labels_close_to_0_and_1_are_the_hard_ones(case: PairCase) -> None:
    """The gradient too: a loss that asked whether y is 1 instead of weighing would jump."""
    pairs = hard_pairs(6, 9, seed=14)
    # Where an anchor or a proxy has no positive at all, the least positive is a new thing.
    positive = pairs.pos > 0
    mask = pairs.mask & positive.any(1)[:, None] & positive.any(0)
    hard = _value_and_gradient(case, Pairs(y=pairs.y, mask=mask))
    soft = _value_and_gradient(case, Pairs(y=pairs.y.clamp(1e-15, 1 - 1e-15), mask=mask))
    torch.testing.assert_close(soft, hard, rtol=1e-5, atol=1e-5)


def _value_and_gradient(case: PairCase, pairs: Pairs) -> Tensor:
    # Moderate, or else exponentials lift 1e-15 to something that counts.
    s = (0.3 * cosines(6, 9, seed=15)).requires_grad_()
    value = case.loss(s, pairs)
    torch.autograd.backward(value)
    assert s.grad is not None
    return torch.cat([value.detach().reshape(1), s.grad.flatten()])


@hard_only_losses
def test_a_loss_of_hard_labels_refuses_a_soft_one_and_says_what_to_do(case: PairCase) -> None:
    with pytest.raises(InvalidConfiguration, match=r"0 and 1 only, found 0\.\d+: leave out"):
        case.loss(cosines(6, 9, seed=16), soft_pairs(6, 9, seed=17))


@hard_only_losses
def test_a_soft_label_that_is_not_used_is_not_refused(case: PairCase) -> None:
    pairs = hard_pairs(6, 9, seed=18)
    unused = Pairs(y=torch.where(pairs.mask, pairs.y, 0.5), mask=pairs.mask)
    s = cosines(6, 9, seed=19)
    torch.testing.assert_close(case.loss(s, unused), case.loss(s, pairs), rtol=0, atol=0)


@relational_losses
def test_no_gradient_reaches_the_teacher(case: RelationalCase) -> None:
    given = case.draw(20)
    s, t = given.s.clone().requires_grad_(), given.t.clone().requires_grad_()
    torch.autograd.backward(case.loss(s, t, given.own))
    assert t.grad is None


@relational_losses
def test_the_teacher_itself_is_better_than_a_stranger(case: RelationalCase) -> None:
    given = case.draw(21)
    loss = case.loss
    if isinstance(loss, Csd):
        loss = replace(loss, temperature_student=loss.temperature_teacher)
    itself = loss(given.t, given.t, given.own)
    assert float(itself) < float(loss(given.s, given.t, given.own))


@relational_losses
def test_a_batch_of_no_anchor_or_of_own_pairs_alone_is_finite(case: RelationalCase) -> None:
    given = case.draw(22)
    none = Relation(given.s[:0], given.t[:0], given.own[:0])
    if case.is_square:
        none = Relation(none.s[:, :0], none.t[:, :0], none.own[:, :0])
    own = Relation(given.s, given.t, torch.ones_like(given.own))
    for there in [own] if case.is_square else [own, none]:
        _assert_finite(lambda s, there=there: case.loss(s, there.t, there.own), there.s)  # type: ignore[misc]
