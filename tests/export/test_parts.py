"""Every part a network may have, through ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from export.portable import PIXELS_NAME, require_portable
from export.runtime import open_session
from export.to_onnx import net_graph
from tests.training.networks import GLAM, GLAM_HEAD, network
from training.models.embedder import Embedder
from training.models.specs import Network
from training.models.whitening import learn_whitening, whitened

SIZE_PX = 64


@dataclass(frozen=True)
class Exported:
    """Rows `[12, D]` of the same pixels, centred; the graph."""

    torch_rows: NDArray[np.float32]
    onnx_rows: NDArray[np.float32]
    net: onnx.ModelProto


def _pixels() -> torch.Tensor:
    """Images of very different contrast and colour."""
    generator = torch.Generator().manual_seed(3)
    contrast = 4 * torch.rand(12, 1, 1, 1, generator=generator)
    coarse = contrast * torch.randn(12, 3, 4, 4, generator=generator)
    return nn.functional.interpolate(coarse, size=SIZE_PX, mode="bicubic")


def _random(described: Network) -> Embedder:
    """With weights and statistics that no part leaves without effect."""
    torch.manual_seed(0)
    embedder = Embedder(described).eval()
    for parameter in embedder.attention.parameters():
        nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        for module in embedder.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                module.running_mean.normal_(std=0.1)
        if isinstance(embedder.head_norm, nn.BatchNorm1d):
            before = embedder.head(embedder.pooled(_pixels()))
            assert embedder.head_norm.running_mean is not None
            assert embedder.head_norm.running_var is not None
            embedder.head_norm.running_mean.copy_(before.mean(dim=0))
            embedder.head_norm.running_var.copy_(before.var(dim=0))
    return embedder


def _exported(embedder: Embedder) -> Exported:
    embedder.train()  # exporting must not depend on the state training left behind
    net = net_graph(embedder, size_px=SIZE_PX)
    (rows,) = open_session(net.SerializeToString()).run(None, {PIXELS_NAME: _pixels().numpy()})
    with torch.inference_mode():
        wanted = embedder.eval()(_pixels()).numpy()
    return Exported(wanted, rows, net)


@pytest.fixture(scope="module")
def glam() -> Exported:
    return _exported(_random(network(adapt_dim=24, attention=GLAM, head=GLAM_HEAD, dim=16)))


@pytest.fixture(scope="module")
def whitened_aml() -> Exported:
    embedder = _random(network(adapt_dim=24, head=None, dim=24))
    with torch.inference_mode():
        rows = embedder(_pixels()).numpy()
    return _exported(whitened(embedder, learn_whitening(rows, dim=6, shrinkage=1.0)))


@pytest.mark.parametrize("name", ["glam", "whitened_aml"])
def test_the_graph_is_the_network(name: str, request: pytest.FixtureRequest) -> None:
    exported: Exported = request.getfixturevalue(name)
    wanted, found = exported.torch_rows, exported.onnx_rows
    assert (wanted @ wanted.T).min() < 0.5, "rows that are all alike would prove nothing"
    assert (wanted * found).sum(axis=1).min() >= 0.99999
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["glam", "whitened_aml"])
def test_the_graph_is_portable_and_has_nothing_of_training(
    name: str, request: pytest.FixtureRequest
) -> None:
    exported: Exported = request.getfixturevalue(name)
    require_portable(exported.net, input_name=PIXELS_NAME)
    ops = {node.op_type for node in exported.net.graph.node}
    assert not ops & {"Pow", "Shape", "Expand", "Dropout", "BatchNormalization"}


def test_the_attentions_products_are_in_the_graph(glam: Exported) -> None:
    ops = [node.op_type for node in glam.net.graph.node]
    assert ops.count("MatMul") == 3  # V A of both, and Kᵀ Q over positions
    assert ops.count("Softmax") == 2


@pytest.mark.slow
def test_glam_at_full_size_is_the_network() -> None:
    described = network(backbone="resnet101", attention=GLAM, head=GLAM_HEAD, dim=512)
    exported = _exported(_random(described))
    require_portable(exported.net, input_name=PIXELS_NAME)
    assert (exported.torch_rows * exported.onnx_rows).sum(axis=1).min() >= 0.99999
