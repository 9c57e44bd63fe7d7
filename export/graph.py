"""Small rewrites of ONNX graphs. Each takes a model and returns a new one."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 10

MIN_FP16_VALUES = 1024
"""Initialisers with fewer numbers stay float32: they cost little, and the sensitive ones (scales
of the preprocessing, bounds, epsilons, narrow biases) are among them."""


def without_metadata(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes: source paths, stack traces, hundreds of kilobytes."""
    bare = copy_of(model)
    graph = bare.graph
    bare.doc_string = graph.doc_string = ""
    del bare.metadata_props[:]
    del graph.metadata_props[:]
    del graph.value_info[:]
    for part in (graph.node, graph.initializer, graph.input, graph.output):
        for entry in part:
            del entry.metadata_props[:]
            entry.doc_string = ""
    return bare


def without_expand(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without `Expand` below a `Div`, which broadcasts by itself.

    `torch.nn.functional.normalize` leaves Shape → Concat → Expand → Div: the only arithmetic with
    shapes in the graph, which accelerators want static.
    """
    lean = copy_of(model)
    expanded = {node.output[0]: node.input[0] for node in lean.graph.node if _is(node, "Expand")}
    for node in lean.graph.node:
        if _is(node, "Div") and node.input[1] in expanded:
            node.input[1] = expanded[node.input[1]]
    return _without_unused(lean)


def with_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """With the first dimension of every input and output fixed."""
    fixed = copy_of(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    del fixed.graph.value_info[:]
    return fixed


def with_fp16_storage(
    model: onnx.ModelProto, *, keep: Collection[str] = frozenset()
) -> onnx.ModelProto:
    """With large float32 initialisers stored as float16, and cast to float32 when loaded.

    keep: names of initialisers that stay as they are.

    Half the bytes; the arithmetic stays float32. Runtimes fold the casts when they open the file.
    An initialiser with a value beyond float16's range stays as it is.
    """
    halved = copy_of(model)
    initializers, casts = [], []
    for entry in halved.graph.initializer:
        half = None if entry.name in keep else _as_fp16(entry)
        if half is None:
            initializers.append(entry)
        else:
            stored = f"{entry.name}.fp16"
            initializers.append(numpy_helper.from_array(half, stored))
            casts.append(helper.make_node("Cast", [stored], [entry.name], to=TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.initializer[:], halved.graph.node[:]
    halved.graph.initializer.extend(initializers)
    halved.graph.node.extend(nodes)
    return halved


def _as_fp16(entry: onnx.TensorProto) -> NDArray[np.float16] | None:
    """The values in float16, or None where float32 must stay."""
    if entry.data_type != TensorProto.FLOAT:
        return None
    values = numpy_helper.to_array(entry)
    if values.size < MIN_FP16_VALUES:
        return None
    with np.errstate(over="ignore", under="ignore"):
        half: NDArray[np.float16] = values.astype(np.float16)
    return half if np.isfinite(half).all() else None


def _without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop, in place, the nodes and initialisers that no output depends on."""
    graph = model.graph
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(node.input)
    initializers = [entry for entry in graph.initializer if entry.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(initializers)
    return model


def _is(node: onnx.NodeProto, op_type: str) -> bool:
    return bool(node.op_type == op_type)


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of its own, to be changed."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied
