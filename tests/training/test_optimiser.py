"""Rates, groups and clipping, by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from lorgnette.errors import InvalidConfiguration
from tests.training.networks import network
from tests.training.tiny_experiment import STUDENT
from training.models.embedder import Embedder
from training.optimiser import clip, optimiser_of, rate_factor, set_rates
from training.optimiser_spec import ClipNorm, ClipValue, Optimiser
from training.schedule_spec import Schedule


def _schedule(**changes: Any) -> Schedule:
    return Schedule.model_validate_json(json.dumps(STUDENT["schedule"] | changes))


def _spec(**changes: Any) -> Optimiser:
    return Optimiser.model_validate_json(json.dumps(STUDENT["optimiser"] | changes))


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    schedule = _schedule(warmup_share=0.2, decay={"name": "cosine", "final_share": 0.1})
    rates = [rate_factor(schedule, step=step, steps=11, epoch=0) for step in range(11)]
    assert rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0.1 < rates[-1] < 0.15


def test_an_exponential_rate_falls_at_each_epochs_end() -> None:
    schedule = _schedule(warmup_share=0, decay={"name": "exponential", "per_epoch": 0.5})
    rates = [rate_factor(schedule, step=s, steps=6, epoch=s // 2) for s in range(6)]
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_a_rate_in_stairs_falls_every_so_many_epochs() -> None:
    decay = {"name": "step", "every_epochs": 2, "factor": 0.1}
    schedule = _schedule(warmup_share=0.5, decay=decay)
    rates = [rate_factor(schedule, step=s, steps=8, epoch=s // 2) for s in range(8)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ({"name": "adamw", "betas": [0.9, 0.99]}, torch.optim.AdamW),
        ({"name": "adam", "betas": [0.9, 0.99]}, torch.optim.Adam),
        ({"name": "sgd", "momentum": 0.9, "nesterov": True}, torch.optim.SGD),
    ],
)
def test_each_weight_is_in_the_group_of_what_it_is(
    rule: dict[str, object], kind: type[torch.optim.Optimizer]
) -> None:
    student = Embedder(network(adapt_dim=8))
    proxies = nn.Parameter(torch.randn(5, 8))
    spec = _spec(
        rule=rule, backbone_lr=1.0, head_lr=2.0, gem_lr=3.0, proxies_lr=4.0, norms="trained"
    )
    optimiser = optimiser_of(student, [proxies], spec)
    assert isinstance(optimiser, kind)
    set_rates(optimiser, 0.5)
    rate = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    decay = {
        id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]
    }
    trained = [p for p in student.parameters() if p.requires_grad]
    assert set(rate) == {id(p) for p in (*trained, proxies)}
    assert rate[id(student.backbone.conv_head.weight)] == 0.5
    assert rate[id(student.head.weight)] == rate[id(student.adapt[0].weight)] == 1.0
    assert rate[id(student.pool.p)] == 1.5
    assert rate[id(proxies)] == 2.0
    assert decay[id(student.head.weight)] == decay[id(proxies)] == 0.01
    assert decay[id(student.head.bias)] == decay[id(student.pool.p)] == 0


def test_frozen_norms_keep_their_scales_and_named_modules_all_they_have() -> None:
    student = Embedder(network())
    optimiser_of(student, [], _spec(norms="frozen", frozen=["blocks.0"]))
    scales = [
        m.weight.requires_grad for m in student.backbone.modules() if isinstance(m, nn.BatchNorm2d)
    ]
    assert scales
    assert not any(scales)
    assert not any(p.requires_grad for p in student.backbone.blocks[0].parameters())
    assert student.backbone.bn1.bias.requires_grad


def test_nothing_left_to_train_is_refused() -> None:
    student = Embedder(network(head=None, dim=256))
    student.pool.requires_grad_(False)
    everything = [name for name, _ in student.backbone.named_children()]
    with pytest.raises(InvalidConfiguration, match="nothing is left to train"):
        optimiser_of(student, [], _spec(frozen=everything))


def test_clipping_by_value_and_by_norm() -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, -4.0])
    clip([weight], None)
    assert weight.grad.tolist() == [3.0, -4.0]
    clip([weight], ClipNorm(name="norm", limit=2.5))
    torch.testing.assert_close(weight.grad, torch.tensor([1.5, -2.0]), rtol=1e-5, atol=0)
    clip([weight], ClipValue(name="value", limit=1.0))
    assert weight.grad.tolist() == [1.0, -1.0]
