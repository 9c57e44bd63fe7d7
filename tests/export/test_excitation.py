"""Squeeze-and-excitation rewritten: whole blocks, and not another number."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from timm.layers import SqueezeExcite
from torch import nn

from export.excitation import BLOCK, with_global_pooling, with_whole_blocks
from export.graph import without_metadata

CHANNELS, SQUEEZED = 24, 6


def _traced(network: nn.Module) -> onnx.ModelProto:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    program = torch.onnx.export(
        network.eval(),
        (torch.zeros(2, CHANNELS, 5, 7),),
        dynamo=True,
        opset_version=18,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    return without_metadata(program.model_proto)


def _run(model: onnx.ModelProto) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = np.random.default_rng(0).standard_normal((2, CHANNELS, 5, 7), np.float32)
    return np.asarray(session.run(None, {session.get_inputs()[0].name: given})[0])


def _widths(model: onnx.ModelProto) -> list[tuple[int, ...]]:
    """The shapes of the convolutions' weights, in order."""
    shapes = {entry.name: numpy_helper.to_array(entry).shape for entry in model.graph.initializer}
    return [shapes[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]


def _rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    return with_whole_blocks(with_global_pooling(model))


@pytest.mark.parametrize("activation", [nn.SiLU, nn.ReLU])
def test_squeezed_channels_come_in_whole_blocks_and_change_nothing(
    activation: type[nn.Module],
) -> None:
    before = _traced(SqueezeExcite(CHANNELS, rd_channels=SQUEEZED, act_layer=activation))
    after = _rewritten(before)
    onnx.checker.check_model(after, full_check=True)
    assert _widths(before) == [(SQUEEZED, CHANNELS, 1, 1), (CHANNELS, SQUEEZED, 1, 1)]
    assert _widths(after) == [(BLOCK, CHANNELS, 1, 1), (CHANNELS, BLOCK, 1, 1)]
    ops = [node.op_type for node in after.graph.node]
    assert (ops.count("GlobalAveragePool"), ops.count("ReduceMean")) == (1, 0)
    np.testing.assert_allclose(_run(after), _run(before), rtol=1e-5, atol=1e-6)


class _Seen(nn.Module):
    """Whose squeezed channels somebody else sees too."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(CHANNELS, SQUEEZED, 1)
        self.expand = nn.Conv2d(SQUEEZED, CHANNELS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squeezed = torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))
        return self.expand(squeezed).sigmoid() * x * squeezed.sum()


class _Gated(nn.Sequential):
    """Whose squeezed channels do not stay 0: a sigmoid of 0 is a half."""

    def __init__(self) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(CHANNELS, SQUEEZED, 1),
            nn.Sigmoid(),
            nn.Conv2d(SQUEEZED, CHANNELS, 1),
        )


class _Unpooled(nn.Sequential):
    """A bottleneck of whole images: more channels would cost what they are wide."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(CHANNELS, SQUEEZED, 1), nn.SiLU(), nn.Conv2d(SQUEEZED, CHANNELS, 1)
        )


@pytest.mark.parametrize("network", [_Seen, _Gated, _Unpooled])
def test_what_is_no_squeeze_and_excitation_stays(network: type[nn.Module]) -> None:
    before = _traced(network())
    after = _rewritten(before)
    assert _widths(after) == _widths(before)
    np.testing.assert_allclose(_run(after), _run(before), rtol=1e-5, atol=1e-6)


class _Mean(nn.Module):
    def __init__(self, axes: tuple[int, ...], *, keeps: bool) -> None:
        super().__init__()
        self.axes, self.keeps = axes, keeps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(self.axes, keepdim=self.keeps)


@pytest.mark.parametrize(("axes", "keeps"), [((1,), True), ((1, 2), True), ((2, 3), False)])
def test_other_means_stay_means(axes: tuple[int, ...], keeps: bool) -> None:
    before = _traced(_Mean(axes, keeps=keeps))
    assert [node.op_type for node in with_global_pooling(before).graph.node] == ["ReduceMean"]
