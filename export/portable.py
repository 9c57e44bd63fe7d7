"""What devices need of a graph, beyond its being valid ONNX.  No torch."""

from __future__ import annotations

import onnx

from export.graph import OPSET
from lorgnette.errors import ExportMismatch

OUTPUT_NAME = "embedding"
PIXELS_NAME = "pixels"
"""The input of `net`: the network's own, normalised. That of a whole encoder is `INPUT_NAME`."""


def require_portable(model: onnx.ModelProto, *, input_name: str) -> None:
    """Check what devices need of a graph, beyond its being valid ONNX.

    One input and one output of the contract's names, opset 18 alone, one file, no `Pow`, and only
    static shapes behind the resize. Raises `ExportMismatch` naming what is missing.
    """
    graph = model.graph
    faults = {
        f"one input {input_name}": [entry.name for entry in graph.input] != [input_name],
        f"one output {OUTPUT_NAME}": [entry.name for entry in graph.output] != [OUTPUT_NAME],
        f"opset {OPSET}": [(o.domain, o.version) for o in model.opset_import] != [("", OPSET)],
        "one file": any(onnx.external_data_helper.uses_external_data(t) for t in graph.initializer),
        "no Pow": any(node.op_type == "Pow" for node in graph.node),
        "static shapes": not _is_static(model),
    }
    for expectation, is_missing in faults.items():
        if is_missing:
            raise ExportMismatch(
                f"the exported graph breaks a rule of the contract: expected {expectation}; "
                "change the network so that it can be written without"
            )


def _is_static(model: onnx.ModelProto) -> bool:
    """Whether every value behind `Resize` (or all, without one) is static but for the batch."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    names = [node.op_type for node in inferred.node]
    first = names.index("Resize") if "Resize" in names else 0
    behind = {output for node in inferred.node[first:] for output in node.output}
    return all(
        all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim[1:])
        for value in (*inferred.value_info, *inferred.output)
        if value.name in behind
    )
