"""The student's network in ONNX Runtime beside torch eager in channels_last, one image, one thread.

    .venv/bin/python benchmarks/student_speed.py [--small] [--json FILE]

Weights are random: speed does not depend on them. `fused` counts the activations ONNX Runtime
has fused in its optimised graph (SiLU as QuickGelu; ReLU6 as part of a convolution), and
`centred_cosine` is the least agreement of the outputs about their mean. torch's own speed depends
on the allocator: the conditions state it.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx
import onnxruntime
import timm
import torch

from benchmarks import common

NETWORKS = {"EfficientNet-B3": "efficientnet_b3", "EfficientNet-Lite0": "efficientnet_lite0"}
SIZE_PX, IMAGES = 224, 16


def main() -> None:
    options = common.options_of(__doc__)
    torch.set_num_threads(1)
    names = ["EfficientNet-Lite0"] if options.small else list(NETWORKS)
    table = [row for name in names for row in measured(name, rounds=4 if options.small else 60)]
    targets = [
        line
        for row in table
        if row["network"] == "EfficientNet-B3" and "x_torch" in row
        for line in (
            common.at_least("EfficientNet-B3, x torch", row["x_torch"], 2.8),
            common.at_least("its centred cosine", row["centred_cosine"], 0.9999),
        )
    ]
    common.told(table, options, targets=targets, size_px=SIZE_PX, images=IMAGES)


def measured(name: str, *, rounds: int) -> common.Table:
    torch.manual_seed(0)
    network = timm.create_model(NETWORKS[name], pretrained=False, num_classes=0).eval()
    images = torch.randn(IMAGES, 3, SIZE_PX, SIZE_PX)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        file, optimised = Path(folder) / "net.onnx", Path(folder) / "optimised.onnx"
        torch.onnx.export(network, (images[:1],), file, dynamo=True, verbose=False)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.optimized_model_filepath = str(optimised)
        session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
        fused = _fused(onnx.load(optimised, load_external_data=False))
        eager = network.to(memory_format=torch.channels_last)
        last = images.contiguous(memory_format=torch.channels_last)
        given = session.get_inputs()[0].name
        arrays = [image[None].numpy() for image in images]
        figures = common.interleaved(
            {
                "torch eager, channels_last": lambda n: eager(last[n % IMAGES : n % IMAGES + 1]),
                "ONNX Runtime": lambda n: session.run(None, {given: arrays[n % IMAGES]}),
            },
            rounds=rounds,
        )
        ours = np.concatenate([session.run(None, {given: array})[0] for array in arrays])
        theirs = eager(last).numpy()
    times = {who: row["p50_ms"] for who, row in figures.items()}
    ratio = times["torch eager, channels_last"] / times["ONNX Runtime"]
    table: common.Table = [{"network": name, "who": who, **row} for who, row in figures.items()]
    table[-1] |= {"x_torch": ratio, "fused": fused, "centred_cosine": _centred(ours, theirs)}
    return table


def _fused(graph: onnx.ModelProto) -> str:
    """The activations of the optimised graph, by kind; those inside a convolution too."""
    kinds = Counter(node.op_type for node in graph.graph.node)
    inside = sum(
        any(attribute.name == "activation" for attribute in node.attribute)
        for node in graph.graph.node
    )
    names = ("QuickGelu", "Sigmoid", "Clip", "Mul")
    return ", ".join([f"in Conv {inside}", *(f"{name} {kinds[name]}" for name in names)])


def _centred(ours: common.Rows, theirs: common.Rows) -> float:
    mean = theirs.mean(axis=0)
    return float((common.unit(ours - mean) * common.unit(theirs - mean)).sum(axis=1).min())


if __name__ == "__main__":
    main()
