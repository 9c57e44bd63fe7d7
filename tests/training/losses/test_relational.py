"""What each relational loss is in particular, and the released codes' numbers from it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from tests.training.losses import reference_relational
from tests.training.losses.cases import embeddings, oblong, square, student_columns
from tests.training.losses.reference_relational import (
    RelationalOracle,
    angle_cosine,
    smooth_l1,
)
from training.losses.ranking import D3, DarkRank, Rop
from training.losses.relational import (
    Csd,
    RamlRelational,
    RelationalLoss,
    RkdAngle,
    RkdDistance,
    Ssp,
)

NO_OWN = torch.zeros(1, 3, dtype=torch.bool)


def gram(x: Tensor) -> Tensor:
    return (x @ x.T).fill_diagonal_(1)


def test_rkd_distance_times_n_minus_1_over_n_is_the_mean_that_counts_own_pairs() -> None:
    """The released code's: each matrix over the mean of what is above 0, smooth L1 of all N²."""
    f, g = embeddings(7, 4, seed=1), embeddings(7, 9, seed=2)
    relative = [torch.cdist(x, x) / torch.cdist(x, x).sum() * (7 * 6) for x in (f, g)]
    released = F.smooth_l1_loss(relative[0], relative[1])
    ours = RkdDistance()(gram(f), gram(g), torch.eye(7, dtype=torch.bool))
    torch.testing.assert_close(ours * 6 / 7, released, rtol=1e-6, atol=0)


def test_rkd_angle_is_of_the_vectors_and_the_released_mean_counts_degenerate_triples() -> None:
    f, g = embeddings(6, 4, seed=3), embeddings(6, 9, seed=4)
    total = 0.0
    for i in range(6):
        for j in range(6):
            for k in range(6):
                if len({i, j, k}) == 3:
                    student = angle_cosine(f.tolist(), i, j, k)
                    total += smooth_l1(student - angle_cosine(g.tolist(), i, j, k))
    ours = RkdAngle()(gram(f), gram(g), torch.eye(6, dtype=torch.bool))
    assert float(ours) == pytest.approx(total / (6 * 5 * 4), rel=1e-10)
    to = [F.normalize(x.unsqueeze(0) - x.unsqueeze(1), dim=-1) for x in (f, g)]
    released = F.smooth_l1_loss(to[0] @ to[0].transpose(1, 2), to[1] @ to[1].transpose(1, 2))
    torch.testing.assert_close(ours * (5 * 4) / 6**2, released, rtol=1e-10, atol=0)


def test_rkd_angle_refuses_columns_that_are_not_the_anchors() -> None:
    given = oblong(5)
    with pytest.raises(InvalidConfiguration, match=r"\(6, 9\) pairs.*others to student"):
        RkdAngle()(given.s, given.t, given.own)
    strangers = torch.zeros(4, 4, dtype=torch.bool)
    with pytest.raises(InvalidConfiguration, match="others to student"):
        RkdAngle()(given.s[:4, :4], given.t[:4, :4], strangers)


def test_views_that_fall_on_one_point_leave_distances_and_angles_finite() -> None:
    x = embeddings(5, 4, seed=6)
    s = gram(torch.cat([x, x[:2]])).clamp(max=1)
    s[:2, 5:], s[5:, :2] = s[:2, :2].clone(), s[:2, :2].clone()
    t = student_columns(7, seed=7).t
    for loss in (RkdDistance(), RkdAngle()):
        at = s.clone().requires_grad_()
        torch.autograd.backward(loss(at, t, torch.eye(7, dtype=torch.bool)))
        assert at.grad is not None
        assert torch.isfinite(at.grad).all()


def test_darkrank_by_the_cosine_is_that_of_half_the_squared_distance() -> None:
    """AML's paper: -Σ (s_x - log Σ_{y at x and after} e^(s_y)), in the teacher's order."""
    s = torch.tensor([[0.2, 0.9, -0.3]], dtype=torch.float64)
    t = torch.tensor([[0.5, 0.1, 0.3]], dtype=torch.float64)
    in_order = [0.2, -0.3, 0.9]
    slow = -sum(in_order[i] - math.log(sum(math.exp(z) for z in in_order[i:])) for i in range(3))
    loss = DarkRank(alpha=0.5, beta=2, nearest=3)(s, t, NO_OWN)
    assert float(loss) == pytest.approx(slow, rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "oracle"),
    [
        (DarkRank(alpha=3, beta=3, nearest=9), reference_relational.darkrank(3, 3, 9)),
        (
            D3(nearest=10, first_order_weight=0, hard_weight=2, simple_weight=1),
            reference_relational.d3(10, 0, 2, 1),
        ),
    ],
    ids=["darkrank", "d3still"],
)
def test_ones_own_column_is_left_out_also_where_all_columns_are_looked_at(
    loss: RelationalLoss, oracle: RelationalOracle
) -> None:
    given = oblong(8)
    slow = oracle(given.s.tolist(), given.t.tolist(), given.own.tolist())
    assert float(loss(given.s, given.t, given.own)) == pytest.approx(slow, rel=1e-12)


def test_rkd_distances_of_0_are_no_part_of_their_mean() -> None:
    given = oblong(17)
    s, t = given.s.clone(), given.t.clone()
    s[0, 3:5] = 1
    t[1, 6] = 1
    slow = reference_relational.rkd_distance(s.tolist(), t.tolist(), given.own.tolist())
    assert float(RkdDistance()(s, t, given.own)) == pytest.approx(slow, rel=1e-12)


def test_csd_is_0_where_the_student_is_the_teacher_at_its_own_temperature() -> None:
    given = square(9)
    loss = Csd(nearest=5, temperature_student=1, temperature_teacher=0.1)
    assert float(loss(given.t * 10, given.t, given.own)) == pytest.approx(0, abs=1e-12)


def test_csd_does_not_look_at_columns_the_teacher_finds_far() -> None:
    given = oblong(10)
    loss = Csd(nearest=4, temperature_student=1, temperature_teacher=0.1)
    far = given.t < given.t.topk(4).values[:, -1:]
    moved = torch.where(far, -given.s, given.s)
    assert torch.equal(loss(moved, given.t, given.own), loss(given.s, given.t, given.own))


def test_raml_relates_the_views_of_each_image_apart() -> None:
    """[G, V, V]: released, a sum over images of Σ off the diagonal / (V (V - 1))."""
    groups = [student_columns(4, seed=seed) for seed in (11, 12, 13)]
    own = groups[0].own
    stacked = RamlRelational()(
        torch.stack([group.s for group in groups]), torch.stack([group.t for group in groups]), own
    )
    apart = [RamlRelational()(group.s, group.t, own) for group in groups]
    released = sum(((g.s - g.t).square() * ~own).sum() / (4 * 3) for g in groups)
    torch.testing.assert_close(stacked, torch.stack(apart).mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(3 * stacked, released, rtol=1e-12, atol=0)


def test_ssp_is_the_mean_of_its_codebooks() -> None:
    s, t = embeddings(10, 6, seed=14).reshape(5, 2, 6), embeddings(10, 6, seed=15).reshape(5, 2, 6)
    own = torch.zeros(5, 0, dtype=torch.bool)
    loss = Ssp(temperature=0.1)
    each = [loss(s[:, m : m + 1], t[:, m : m + 1], own) for m in range(2)]
    torch.testing.assert_close(loss(s, t, own), torch.stack(each).mean(), rtol=1e-12, atol=0)


def test_rop_by_hand_for_two_columns() -> None:
    """Teacher 0.8, 0.4; student 0.5, 0.6; weights softmax(0) = 1/2 by places 1 and 2."""

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-x / 0.1))

    first = (0.5 - sigma(0.5 - 0.8)) ** 2 + (0 - sigma(0.6 - 0.8)) ** 2
    second = (1 - sigma(0.5 - 0.4)) ** 2 + (0.5 - sigma(0.6 - 0.4)) ** 2
    loss = Rop(nearest=2, temperature=0.1, weight_scale=0)(
        torch.tensor([[0.6, 0.5]], dtype=torch.float64),
        torch.tensor([[0.4, 0.8]], dtype=torch.float64),
        torch.zeros(1, 2, dtype=torch.bool),
    )
    assert float(loss) == pytest.approx((0.5 * first + 1.0 * second) / 2, rel=1e-12)


def test_d3still_by_hand_tells_wrong_order_from_right() -> None:
    """Own, then three columns: the student swaps the first two of the teacher's order."""
    t = torch.tensor([[1.0, 0.8, 0.5, 0.1]], dtype=torch.float64)
    s = torch.tensor([[0.7, 0.4, 0.6, 0.0]], dtype=torch.float64)
    own = torch.tensor([[True, False, False, False]])
    parts = {
        "first_order_weight": 0.3,
        "hard_weight": math.sqrt(2 * ((0.2 + 0.3) / 0.4) ** 2) / 3,
        "simple_weight": math.sqrt(2 * ((0.3 / 0.8) ** 2 + (0.2 / 0.5) ** 2)) / 3,
    }
    none = D3(nearest=4, first_order_weight=0, hard_weight=0, simple_weight=0)
    for weight, expected in parts.items():
        assert float(replace(none, **{weight: 1})(s, t, own)) == pytest.approx(expected, rel=1e-12)


def test_d3still_leaves_a_tie_of_the_teacher_out() -> None:
    t = torch.tensor([[0.5, 0.5, 0.1]], dtype=torch.float64)
    loss = D3(nearest=3, first_order_weight=0, hard_weight=1, simple_weight=1)
    tied = torch.tensor([[0.9, -0.9, 0.0]], dtype=torch.float64, requires_grad=True)
    value = loss(tied, t, NO_OWN)
    torch.autograd.backward(value)
    assert value.item() == 0
    assert tied.grad is not None
    assert torch.all(tied.grad == 0)


@pytest.mark.parametrize(
    "loss",
    [
        Csd(nearest=10, temperature_student=1, temperature_teacher=1),
        Rop(nearest=10, temperature=1, weight_scale=1),
        DarkRank(alpha=3, beta=3, nearest=10),
        D3(nearest=11, first_order_weight=1, hard_weight=1, simple_weight=1),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_fewer_columns_than_are_looked_at_is_an_error_that_says_so(loss: RelationalLoss) -> None:
    given = oblong(16)
    with pytest.raises(InvalidConfiguration, match=r"10 nearest columns, found 9: lower `nearest`"):
        loss(given.s, given.t, given.own)
