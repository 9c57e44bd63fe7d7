"""Squeeze-and-excitation as a runtime with blocks of channels can compute it. Exact rewrites.

ONNX Runtime convolves in blocks of 8 or 16 channels (NCHWc) and puts a tensor back into rows before
whatever does not know them: a `ReduceMean`, or a convolution of 6 squeezed channels. An
EfficientNet-B3 has 26 of both; without them an image takes a tenth less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeGuard

import numpy as np
import onnx
from onnx import numpy_helper

from export.graph import copy_of

BLOCK = 16
"""Channels of the widest blocks there are (AVX-512)."""

_PLANE = ([2, 3], [-2, -1])
"""The axes of height and width, sorted."""


def with_global_pooling(model: onnx.ModelProto) -> onnx.ModelProto:
    """With `GlobalAveragePool` for a mean over height and width that keeps both."""
    pooled = copy_of(model)
    axes = {
        entry.name: sorted(numpy_helper.to_array(entry).tolist())
        for entry in pooled.graph.initializer
        if entry.data_type == onnx.TensorProto.INT64 and len(entry.dims) == 1
    }
    for node in pooled.graph.node:
        if node.op_type != "ReduceMean" or len(node.input) != 2 or not _keeps_axes(node):
            continue
        if axes.get(node.input[1]) in _PLANE:
            node.op_type = "GlobalAveragePool"
            del node.input[1:], node.attribute[:]
    return pooled


def _keeps_axes(node: onnx.NodeProto) -> bool:
    return all(entry.i != 0 for entry in node.attribute if entry.name == "keepdims")


def with_whole_blocks(model: onnx.ModelProto) -> onnx.ModelProto:
    """With squeezed channels filled up to a multiple of `BLOCK`.

    Those added have weights and biases of 0, stay 0 through SiLU or ReLU, and are given no weight
    by the convolution that expands them.
    """
    filled = copy_of(model)
    graph = filled.graph
    weights = {entry.name: entry for entry in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    for expand in graph.node:
        squeeze = _squeeze_of(expand, makers, uses)
        if squeeze is None or not {*squeeze.input[1:], *expand.input[1:2]} <= set(weights):
            continue
        for place in range(1, len(squeeze.input)):
            _fill(graph, squeeze, place, weights, axis=0)
        _fill(graph, expand, 1, weights, axis=1)
    return filled


def _squeeze_of(
    expand: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], uses: Mapping[str, int]
) -> onnx.NodeProto | None:
    """The convolution that squeezes what this one expands and nobody else sees, if there is."""
    activation = makers.get(expand.input[0])
    if activation is None or not (_is_plain(expand) and uses[expand.input[0]] == 1):
        return None
    squeeze = next((node for node in map(makers.get, activation.input) if _is_plain(node)), None)
    if squeeze is None or not _keeps_zero(activation, squeeze.output[0], makers, uses):
        return None
    pool = makers.get(squeeze.input[0])
    return squeeze if pool is not None and pool.op_type == "GlobalAveragePool" else None


def _is_plain(node: onnx.NodeProto | None) -> TypeGuard[onnx.NodeProto]:
    """Whether it is a convolution in which every output sees every input."""
    return (
        node is not None
        and node.op_type == "Conv"
        and all(entry.i == 1 for entry in node.attribute if entry.name == "group")
    )


def _keeps_zero(
    activation: onnx.NodeProto,
    squeezed: str,
    makers: Mapping[str, onnx.NodeProto],
    uses: Mapping[str, int],
) -> bool:
    """Whether it is ReLU, or SiLU: what is squeezed, times its own sigmoid."""
    if activation.op_type not in ("Relu", "Mul") or uses[squeezed] != len(activation.input):
        return False
    gates = [makers.get(name) for name in activation.input if name != squeezed]
    return all(
        gate is not None and gate.op_type == "Sigmoid" and list(gate.input) == [squeezed]
        for gate in gates
    )


def _fill(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    place: int,
    weights: Mapping[str, onnx.TensorProto],
    *,
    axis: int,
) -> None:
    """Give a node a filled copy of an initialiser: others may use the one there is."""
    values = numpy_helper.to_array(weights[node.input[place]])
    missing = -values.shape[axis] % BLOCK
    if missing:
        widths = [(0, missing if n == axis else 0) for n in range(values.ndim)]
        name = f"{node.input[place]}.filled.{axis}"
        graph.initializer.append(numpy_helper.from_array(np.pad(values, widths), name))
        node.input[place] = name
