"""The view of a network with frozen norms folded into its convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training.networks import GLAM, GLAM_HEAD, network
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.models.specs import Network


@pytest.mark.parametrize(
    "described",
    [
        network(),
        network(backbone="test_resnet"),
        network(backbone="tf_efficientnet_lite0"),
        network(adapt_dim=24, attention=GLAM, head=GLAM_HEAD),
    ],
    ids=["efficientnet", "resnet", "lite0", "every part"],
)
def test_the_frozen_norm_view_is_the_same_function_with_the_same_gradient(
    described: Network,
) -> None:
    torch.manual_seed(0)
    embedder = Embedder(described).eval()
    for module in embedder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    embedder.double()
    view = with_frozen_norms(embedder)
    assert {id(p) for p in view.parameters()} == {id(p) for p in embedder.parameters()}
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    target = torch.randn(2, 8, dtype=torch.float64)
    gradients = []
    for module in (embedder, view):
        embedder.zero_grad()
        rows = module(images)
        (rows * target).sum().backward()
        gradients.append([p.grad.clone() for p in embedder.parameters() if p.grad is not None])
    torch.testing.assert_close(view(images), embedder(images), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-9)
