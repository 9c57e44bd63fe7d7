"""ONNX Runtime on the CPU, one thread: what every exported graph is run with here."""

from __future__ import annotations

import onnxruntime as ort

from lorgnette.errors import ExportMismatch


def open_session(model: bytes) -> ort.InferenceSession:
    """Open a serialised graph. Raises `ExportMismatch` when the runtime refuses it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # onnxruntime raises a dozen unrelated pybind classes for a model it cannot load.
    except Exception as error:
        raise ExportMismatch(f"ONNX Runtime cannot load the exported graph: {error}") from error
