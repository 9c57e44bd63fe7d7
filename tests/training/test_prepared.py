"""The view of a network that is run in training: which of its parts are in which state."""

from __future__ import annotations

import json

import pytest
import torch

from lorgnette.errors import InvalidConfiguration
from tests.training.networks import GLAM, GLAM_HEAD, network
from tests.training.tiny_experiment import STUDENT
from training.models.embedder import Embedder
from training.optimiser_spec import Optimiser
from training.prepared import Prepared, trained_view


def _spec(norms: str) -> Optimiser:
    changes = {"norms": norms, "frozen": ["bn1"]}
    return Optimiser.model_validate_json(json.dumps(STUDENT["optimiser"] | changes))


@pytest.mark.parametrize("norms", ["frozen", "frozen-statistics"])
def test_a_backbone_of_frozen_statistics_is_in_evaluation_and_the_rest_trains(norms: str) -> None:
    student = Embedder(network(head=GLAM_HEAD, attention=GLAM))
    view = trained_view(student, _spec(norms))
    assert not any(module.training for module in view.backbone.modules())
    assert all(part.training for part in (view.attention, view.dropout, view.head_norm))
    shared = {id(parameter) for parameter in student.parameters()}
    assert {id(parameter) for parameter in view.parameters()} == shared


def test_with_norms_that_train_only_what_is_frozen_by_name_is_in_evaluation() -> None:
    view = trained_view(Embedder(network(head=GLAM_HEAD)), _spec("trained"))
    still = {name for name, module in view.named_modules() if not module.training}
    assert still
    assert all(name.startswith("backbone.bn1") for name in still)


def test_rows_of_half_precision_are_of_unit_length_in_float32() -> None:
    student = Embedder(network()).eval()
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    exact = Prepared(student, network().input, "none")(images)
    half = Prepared(student, network().input, "bf16")(images)
    assert half.dtype == exact.dtype == torch.float32
    torch.testing.assert_close(half.norm(dim=1), torch.ones(3), rtol=1e-6, atol=0)
    assert not torch.equal(half, exact)
    assert (half * exact).sum(dim=1).min() > 0.99


def test_a_single_image_cannot_train_a_batch_norm() -> None:
    student = trained_view(Embedder(network(head=GLAM_HEAD)), _spec("frozen"))
    prepared = Prepared(student, student.network.input, "none")
    with pytest.raises(InvalidConfiguration, match="a batch of one image"):
        prepared(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
