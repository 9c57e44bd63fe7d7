"""From a trained network to ONNX graphs: the network, the preprocessing, and both as one.

pre    uint8 image `[H, W, 3]` of any size  → float32 `[1, 3, S, S]` normalised
net    float32 `[N, 3, S, S]` normalised    → unit rows `[N, D]`
model  uint8 image `[H, W, 3]` of any size  → one unit row `[1, D]`     (pre, then net at N = 1)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper
from torch import Tensor, nn

from export.excitation import with_global_pooling, with_whole_blocks
from export.graph import IR_VERSION, OPSET, with_batch, without_expand, without_metadata
from export.portable import OUTPUT_NAME, PIXELS_NAME
from lorgnette.encoder import INPUT_NAME
from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import InputSpec
from training.models.embedder import Embedder
from training.models.pooling import EPS, GeM


@dataclass(frozen=True)
class Graphs:
    """The three graphs of one network, float32, each in a single file."""

    model: onnx.ModelProto
    net: onnx.ModelProto
    pre: onnx.ModelProto


def build_graphs(embedder: Embedder, spec: InputSpec) -> Graphs:
    """Trace the network and build its graphs; takes seconds to half a minute.

    Raises `InvalidConfiguration` when the network cannot be traced with a batch of any length.
    """
    net, pre = net_graph(embedder, size_px=spec.size_px), pre_graph(spec)
    return Graphs(model=_joined(pre, net), net=net, pre=pre)


def net_graph(embedder: Embedder, *, size_px: int) -> onnx.ModelProto:
    """`pixels` float32 `[N, 3, S, S]` → `embedding` unit rows `[N, D]`; only N is dynamic."""
    portable = _portable(embedder)
    example = torch.zeros(2, 3, size_px, size_px)
    try:
        program = torch.onnx.export(
            portable,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=[PIXELS_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        raise InvalidConfiguration(
            f"the network cannot be written as ONNX (opset {OPSET}) at {size_px} px: {error}"
        ) from error
    assert program is not None, "dynamo=True returns a program"
    pooled = with_global_pooling(without_metadata(program.model_proto))
    net = without_expand(with_whole_blocks(pooled))
    net.producer_name, net.producer_version = "lorgnette", ""
    net.ir_version = IR_VERSION
    onnx.checker.check_model(net, full_check=True)
    return net


def pre_graph(spec: InputSpec) -> onnx.ModelProto:
    """`image_u8` uint8 `[H, W, 3]` → `pixels` float32 `[1, 3, S, S]`, `(x / 255 - mean) / std`.

    `exclude_outside=1` is what Pillow and torchvision do: pixels beyond the border have no weight.
    Without it the outermost rows and columns are off by up to 21 levels of 255.
    """
    shape = [1, 3, spec.size_px, spec.size_px]
    graph = helper.make_graph(
        _pre_nodes(),
        "pre",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["H", "W", 3])],
        [helper.make_tensor_value_info(PIXELS_NAME, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in _pre_constants(spec).items()],
    )
    pre = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lorgnette",
    )
    onnx.checker.check_model(pre, full_check=True)
    return pre


def _pre_constants(spec: InputSpec) -> dict[str, NDArray[np.generic]]:
    mean, std = np.array(spec.mean, np.float64), np.array(spec.std, np.float64)
    return {
        "pre.batch_axis": np.array([0], np.int64),
        "pre.sizes": np.array([1, 3, spec.size_px, spec.size_px], np.int64),
        "pre.scale": (1 / (255 * std)).astype(np.float32).reshape(1, 3, 1, 1),
        "pre.shift": (-mean / std).astype(np.float32).reshape(1, 3, 1, 1),
    }


def _pre_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Transpose", [INPUT_NAME], ["pre.chw"], perm=[2, 0, 1]),
        helper.make_node("Unsqueeze", ["pre.chw", "pre.batch_axis"], ["pre.nchw"]),
        helper.make_node(
            "Resize",
            ["pre.nchw", "", "", "pre.sizes"],
            ["pre.small"],
            mode="linear",
            antialias=1,
            exclude_outside=1,
            coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node("Cast", ["pre.small"], ["pre.float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pre.float", "pre.scale"], ["pre.scaled"]),
        helper.make_node("Add", ["pre.scaled", "pre.shift"], [PIXELS_NAME]),
    ]


def _joined(pre: onnx.ModelProto, net: onnx.ModelProto) -> onnx.ModelProto:
    model = compose.merge_models(
        pre, with_batch(net, 1), io_map=[(PIXELS_NAME, PIXELS_NAME)], name="model"
    )
    model.producer_name, model.producer_version = "lorgnette", ""
    del model.opset_import[1:]
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


class _BakedGeM(nn.Module):
    """GeM with its power a constant and no `Pow`, which ORT-web's WebGPU cannot compile.

    Roots and powers other than 3 go through exp(p log x), safe because x is clamped at `EPS`.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        x = features.clamp(min=EPS)
        is_cubic = abs(self.p - 3.0) <= 1e-6
        powered = x * x * x if is_cubic else (x.log() * self.p).exp()
        return (powered.mean(dim=(-2, -1)).log() / self.p).exp()


def _portable(embedder: Embedder) -> nn.Module:
    """A copy of the network with every GeM baked, in evaluation mode, on the CPU."""
    portable = copy.deepcopy(embedder).cpu().eval()
    for parameter in portable.parameters():
        parameter.requires_grad_(False)
    for name, module in list(portable.named_modules()):
        if isinstance(module, GeM):
            portable.set_submodule(name, _BakedGeM(float(module.p.detach())))
    return portable
