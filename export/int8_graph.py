"""Graphs in eight bits: which parts there are, the ranges they work in, and the rewriting itself.

Static QDQ by onnxruntime.quantization: int8 weights with a scale for each output channel, uint8
activations with ranges measured on photographs. What is quantised is the convolutions and what
lies between them; the preprocessing before the first and the pooling, the head and the norm behind
the last stay in float32 arithmetic.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from export.graph import copy_of, with_fp16_storage, without_metadata
from export.samples import Pixels
from lorgnette.encoder import INPUT_NAME
from lorgnette.errors import InvalidBundle

QUANTISED_OPS = ("Conv", "Add", "Clip", "Relu")

PERCENTILE = 99.999
"""Of a tensor's values over all photographs; the rest saturates."""

AT_ONCE = 4
"""Photographs whose activations are in memory together: some 30 MB each for Lite0."""

Parts = dict[str, list[str]]
"""Names of nodes by the part of the network they belong to, in the order of the graph."""


def with_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Undo fp16 storage, and name every node: what quantisation starts from."""
    plain = without_metadata(model)
    stored = {entry.name: entry for entry in plain.graph.initializer}
    nodes = []
    for index, node in enumerate(plain.graph.node):
        if node.op_type == "Cast" and node.input[0] in stored:
            values = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            plain.graph.initializer.remove(stored[node.input[0]])
            plain.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        else:
            node.name = node.name or f"node.{index}"
            nodes.append(node)
    kept = list(nodes)
    del plain.graph.node[:]
    plain.graph.node.extend(kept)
    return plain


def parts_of(model: onnx.ModelProto) -> Parts:
    """The nodes that can be quantised, by part: a stem, each stage or block, a last convolution.

    A part is named by its weights, up to the first number: `backbone.blocks.3.0.conv_pw.weight`
    belongs to `backbone.blocks.3`. Raises `InvalidBundle` for a network without convolutions.
    """
    nodes = list(model.graph.node)
    places = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    if not places:
        raise InvalidBundle("the network has no convolution: there is nothing to quantise")
    parts: Parts = {}
    name = ""
    for node in nodes[places[0] : places[-1] + 1]:
        if node.op_type == "Conv":
            name = _part(node.input[1])
        if node.op_type in QUANTISED_OPS:
            parts.setdefault(name, []).append(node.name)
    return parts


def _part(weight: str) -> str:
    words = weight.split(".")
    end = next((n for n, word in enumerate(words) if word.isdigit()), len(words) - 2)
    return ".".join(words[: end + 1])


@dataclass
class _Reader:
    """Images one after another, as ONNX Runtime's calibration asks for them."""

    waiting: list[Pixels]

    def get_next(self) -> dict[str, Pixels] | None:
        return {INPUT_NAME: self.waiting.pop(0)} if self.waiting else None


def ranges_of(
    model: onnx.ModelProto, photographs: Sequence[Pixels], *, on_image: Callable[[], None]
) -> TensorsData:
    """Percentiles of every activation over photographs, uint8 `[H, W, 3]`."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            list(QUANTISED_OPS),
            str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"percentile": PERCENTILE, "symmetric": False},
        )
        for first in range(0, len(photographs), AT_ONCE):
            chunk = photographs[first : first + AT_ONCE]
            calibrator.collect_data(_Reader(list(chunk)))
            for _ in chunk:
                on_image()
        return calibrator.compute_data()


def with_int8(
    model: onnx.ModelProto, ranges: TensorsData, nodes: Collection[str]
) -> onnx.ModelProto:
    """Quantise the named nodes; float32 elsewhere, in storage too."""
    quantiser = QDQQuantizer(
        onnx.shape_inference.infer_shapes(model),
        True,  # per channel: with one scale for a whole tensor the rows are useless
        False,
        QuantType.QInt8,
        QuantType.QUInt8,
        ranges,
        list(nodes),
        [],
        list(QUANTISED_OPS),
        {},
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    quantised: onnx.ModelProto = without_metadata(quantiser.model.model)
    opsets = [entry for entry in quantised.opset_import if entry.domain == ""]
    del quantised.opset_import[:]
    quantised.opset_import.extend(opsets)
    return quantised


def with_small_storage(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store what stayed in float32 smaller: the head in eight bits, other weights in float16.

    Both are turned into float32 when the file is opened, by nodes that every runtime folds.
    """
    small = copy_of(model)
    heads = {
        node.input[1]: bool(helper.get_node_attr_value(node, "transB"))
        for node in small.graph.node
        if node.op_type == "Gemm" and any(entry.name == "transB" for entry in node.attribute)
    }
    unpacking = []
    for entry in list(small.graph.initializer):
        if heads.get(entry.name):
            unpacking += _pack(small, entry)
    nodes = [*unpacking, *small.graph.node]
    del small.graph.node[:]
    small.graph.node.extend(nodes)
    return with_fp16_storage(small, keep=_scales(small))


def _pack(model: onnx.ModelProto, entry: onnx.TensorProto) -> list[onnx.NodeProto]:
    """Replace a float32 `[out, in]` by int8 and a scale for each row; the nodes that unpack it."""
    values: NDArray[np.float32] = numpy_helper.to_array(entry)
    scale = np.maximum(np.abs(values).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)
    packed = np.round(values / scale).astype(np.int8)
    q, s, wide = (f"{entry.name}.{suffix}" for suffix in ("int8", "scale", "wide"))
    model.graph.initializer.remove(entry)
    model.graph.initializer.extend(
        [numpy_helper.from_array(packed, q), numpy_helper.from_array(scale, s)]
    )
    return [
        helper.make_node("Cast", [q], [wide], to=TensorProto.FLOAT),
        helper.make_node("Mul", [wide, s], [entry.name]),
    ]


def _scales(model: onnx.ModelProto) -> frozenset[str]:
    """Scales of quantisation: a runtime fuses QDQ pairs only around plain float32 constants."""
    return frozenset(
        node.input[1]
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    )
