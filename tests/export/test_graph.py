from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.graph import with_fp16_storage, without_expand
from export.runtime import open_session


def model_of(
    nodes: list[onnx.NodeProto], constants: dict[str, NDArray[np.generic]]
) -> onnx.ModelProto:
    """A model from `x` float32 `[N, 4]` to `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", None])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    (y,) = open_session(model.SerializeToString()).run(None, {"x": x})
    return np.asarray(y)


X = np.arange(8, dtype=np.float32).reshape(2, 4) - 3


def test_a_weight_beyond_the_range_of_float16_stays_float32() -> None:
    small = np.full((4, 512), 0.5, np.float32)
    large = small.copy()
    large[0, 0] = 1e6
    nodes = [
        helper.make_node("MatMul", ["x", "small"], ["a"]),
        helper.make_node("MatMul", ["x", "large"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    model = model_of(nodes, {"small": small, "large": large})
    halved = with_fp16_storage(model)
    types = {entry.name: entry.data_type for entry in halved.graph.initializer}
    assert types == {"small.fp16": TensorProto.FLOAT16, "large": TensorProto.FLOAT}
    np.testing.assert_array_equal(run(halved, X), run(model, X))


def test_a_rewrite_leaves_its_argument_alone() -> None:
    model = model_of(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((4, 512), np.float32)}
    )
    before = model.SerializeToString()
    with_fp16_storage(model)
    assert model.SerializeToString() == before


def normalised(*consumers: onnx.NodeProto) -> onnx.ModelProto:
    nodes = [
        helper.make_node("ReduceL2", ["x", "axis"], ["norm"], keepdims=1),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Expand", ["norm", "shape"], ["wide"]),
        *consumers,
    ]
    return model_of(nodes, {"axis": np.array([1])})


def test_expand_below_a_division_is_dropped_with_what_fed_it() -> None:
    model = normalised(helper.make_node("Div", ["x", "wide"], ["y"]))
    lean = without_expand(model)
    assert [node.op_type for node in lean.graph.node] == ["ReduceL2", "Div"]
    np.testing.assert_array_equal(run(lean, X), run(model, X))


def test_expand_that_something_else_reads_is_kept() -> None:
    model = normalised(helper.make_node("Relu", ["wide"], ["y"]))
    assert "Expand" in {node.op_type for node in without_expand(model).graph.node}
    np.testing.assert_array_equal(run(without_expand(model), X), run(model, X))
