"""OpenVINO on one thread, where it is installed: what ONNX Runtime is compared with."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import onnx

from benchmarks import common

Network = Callable[[common.Rows], common.Rows]
"""Pixels `[N, 3, S, S]` to rows `[N, D]`."""

_PRECISIONS = {"OpenVINO, float32": ("FP32", "f32"), "OpenVINO, bfloat16": ("BF16", "bf16")}


def networks(model: onnx.ModelProto) -> dict[str, Network]:
    """A network, whose input has a fixed shape, by the precisions this processor computes in."""
    if find_spec("openvino") is None:
        return {}
    import openvino

    core = openvino.Core()
    known = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return {
        who: _compiled(core, model, hint)
        for who, (capability, hint) in _PRECISIONS.items()
        if capability in known
    }


def _compiled(core: object, model: onnx.ModelProto, hint: str) -> Network:
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    read = core.read_model(model.SerializeToString())  # type: ignore[attr-defined]
    request = core.compile_model(read, "CPU", settings).create_infer_request()  # type: ignore[attr-defined]
    return lambda pixels: np.array(request.infer([pixels])[0])
