"""The stable forms, where the plain ones would overflow, divide by zero or have no gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.training.losses.cases import cosines
from training.losses.kernels import (
    distance,
    kl_divergence,
    log1p_sum_exp,
    log_sum_exp,
    masked_mean,
    masked_row_mean,
    mean,
    root,
    sine,
)

LogSum = Callable[[Tensor, Tensor], Tensor]


def test_a_mean_of_nothing_is_0() -> None:
    assert mean(torch.empty(0)) == 0
    assert masked_mean(torch.ones(2, 3), torch.zeros(1, 3, dtype=torch.bool)) == 0
    assert masked_row_mean(torch.ones(2, 3), torch.zeros(2, 3)).tolist() == [0, 0]


def test_a_masked_mean_is_over_what_is_used_of_every_leading_part() -> None:
    values = torch.arange(12.0).reshape(2, 2, 3)
    used = torch.tensor([[True, False, False], [False, False, True]])
    assert masked_mean(values, used) == (0 + 5 + 6 + 11) / 4


def test_a_row_mean_of_tiny_weights_is_weighted() -> None:
    rows = masked_row_mean(torch.tensor([[1.0, 3.0]]), torch.tensor([[1e-6, 3e-6]]))
    assert rows.tolist() == pytest.approx([2.5])


@pytest.mark.parametrize("kernel", [log1p_sum_exp, log_sum_exp])
def test_a_log_of_a_sum_does_not_overflow_float32(kernel: LogSum) -> None:
    z, weights = torch.tensor([[300.0, 300.0, 500.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    assert kernel(z, weights).tolist() == pytest.approx([300 + math.log(2)])


@pytest.mark.parametrize("kernel", [log1p_sum_exp, log_sum_exp])
@pytest.mark.parametrize("columns", [0, 3])
def test_a_log_of_an_empty_sum_is_0_without_gradient(kernel: LogSum, columns: int) -> None:
    z = torch.full((2, columns), 5.0, requires_grad=True)
    value = kernel(z, torch.zeros(2, columns))
    torch.autograd.backward(value.sum())
    assert value.tolist() == [0, 0]
    assert z.grad is not None
    assert torch.all(z.grad == 0)


@pytest.mark.parametrize("squared", [0.0, -1e-7])
def test_a_root_of_0_and_below_is_0_without_gradient(squared: float) -> None:
    x = torch.tensor([squared, 4.0], requires_grad=True)
    value = root(x)
    torch.autograd.backward(value.sum())
    assert value.tolist() == [0, 2]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0.25]


def test_distance_and_sine_are_those_of_the_angle() -> None:
    s = torch.cat([cosines(50, seed=1), torch.tensor([-1.0, 1.0], dtype=torch.float64)])
    angle = [math.acos(value) for value in s.tolist()]
    assert distance(s).tolist() == pytest.approx([2 * math.sin(a / 2) for a in angle], abs=1e-15)
    assert sine(s).tolist() == pytest.approx([math.sin(a) for a in angle], abs=1e-15)


def test_a_divergence_of_far_apart_logits_is_finite() -> None:
    student, teacher = torch.tensor([0.0, 500.0]), torch.tensor([500.0, 0.0])
    assert float(kl_divergence(student, teacher)) == pytest.approx(500)
    assert float(kl_divergence(teacher, teacher)) == 0
