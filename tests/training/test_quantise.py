"""The rounding of training for eight bits, against plain loops, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.training.networks import network
from training.models.embedder import Embedder
from training.prepared import Prepared
from training.quantise import FakeInt8, rounded_input, rounded_weight


def test_a_weight_is_rounded_channel_by_channel() -> None:
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[2] *= 100
    found = rounded_weight(weight)
    for channel in range(4):
        values = weight[channel].double().numpy()
        step = np.abs(values).max() / 127
        np.testing.assert_allclose(
            found[channel].numpy(), np.round(values / step) * step, atol=1e-4 * step
        )


def test_an_input_keeps_zero_and_both_ends() -> None:
    images = torch.linspace(-1, 5, 97).view(1, 1, 1, -1)
    images[0, 0, 0, 16] = 0
    found = rounded_input(images)
    step = 6 / 255
    assert found[0, 0, 0, 16] == 0
    assert (found - images).abs().max() <= 0.51 * step
    assert len(set(found.flatten().tolist())) == 97
    assert len(set(rounded_input(torch.randn(1, 1, 64, 64)).flatten().tolist())) <= 256


def test_a_constant_input_is_not_divided_by_nothing() -> None:
    assert rounded_input(torch.zeros(1, 1, 2, 2)).isfinite().all()
    assert rounded_weight(torch.zeros(1, 1, 1, 1)).isfinite().all()


def test_the_gradient_passes_straight_through() -> None:
    images = torch.randn(2, 3, 8, 8, requires_grad=True)
    layer = nn.Conv2d(3, 4, 3, bias=False)
    with FakeInt8():
        layer(images).sum().backward()
    found = images.grad
    assert found is not None
    ones = torch.ones(2, 4, 6, 6)
    wanted = F.conv_transpose2d(ones, rounded_weight(layer.weight.detach()))
    torch.testing.assert_close(found, wanted)
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().min() > 0


def test_a_network_in_eight_bits_is_another_but_near_and_keeps_its_state() -> None:
    torch.manual_seed(0)
    student = Embedder(network()).eval()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    exact = Prepared(student, network().input, "none")(images)
    eight = Prepared(student, network().input, "int8")(images)
    assert not torch.equal(eight, exact)
    assert (eight * exact).sum(dim=1).min() > 0.99
    eight.sum().backward()
    after = student.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    torch.testing.assert_close(Prepared(student, network().input, "none")(images), exact)
