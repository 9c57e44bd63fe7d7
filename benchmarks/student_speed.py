"""The student's network in ONNX Runtime beside torch eager in channels_last, one image, one thread.

    .venv/bin/python benchmarks/student_speed.py [--small] [--json FILE]

The networks are those of configurations in `training/configs`, at their size, exported as
`lorgnette export` does it. Weights are random: speed does not depend on them. `fused` counts the
activations ONNX Runtime has fused in its optimised graph (SiLU as QuickGelu; ReLU6 as part of a
convolution) and `reorders` how often it leaves its blocked layout or returns to it.
`centred_cosine` is the least agreement of the rows with torch's, about their mean. torch's own
speed depends on the allocator: the conditions state it. The floor is what the network's products
and sums alone would take at the speed of a large float32 matrix product, were memory and
activations free: what no runtime of float32 goes below. OpenVINO is there where it is installed
(extra `bench`).
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
import torch

from benchmarks import common, openvino_peer
from export.graph import with_batch
from export.portable import PIXELS_NAME
from export.samples import scene
from export.to_onnx import net_graph
from lorgnette.manifest import InputSpec
from training.config import TrainConfig, load_config
from training.models import complexity
from training.models.embedder import Embedder

B3, LITE0 = "EfficientNet-B3", "EfficientNet-Lite0"
CONFIGS = {B3: "aml/contrastive.yaml", LITE0: "student_lite0.yaml"}
IMAGES = 16
TORCH, OURS = "torch eager, channels_last", "ONNX Runtime"
FLOOR, SIDE = "floor: its products at the speed of a matrix product", 1536


def main() -> None:
    options = common.options_of(__doc__)
    torch.set_num_threads(1)
    names, rounds = ([LITE0], 4) if options.small else (list(CONFIGS), 40)
    table = [row for name in names for row in measured(name, rounds=rounds)]
    targets = [
        line
        for row in table
        if (row["network"], row["who"]) == (B3, OURS)
        for line in (
            common.at_least(f"{B3}, x torch", row["x_torch"], 2.8),
            common.at_least("its centred cosine", row["centred_cosine"], 0.9999),
        )
    ]
    common.told(table, options, targets=targets, configurations=CONFIGS, images=IMAGES)


def measured(name: str, *, rounds: int) -> common.Table:
    config = load_config(common.ROOT / "training" / "configs" / CONFIGS[name], TrainConfig)
    spec = config.model.input
    embedder = Embedder(config.model).eval()
    net = with_batch(net_graph(embedder, size_px=spec.size_px), 1)
    session, shape = optimised(net)
    eager = embedder.to(memory_format=torch.channels_last)
    images = pixels(spec, count=IMAGES)
    last = {n: channels_last(images[n : n + 1]) for n in range(IMAGES)}
    with torch.inference_mode():
        others = openvino_peer.networks(net)
        sides: dict[str, common.Call] = {
            TORCH: lambda n: eager(last[n % IMAGES]).numpy(),
            OURS: lambda n: session.run(None, {PIXELS_NAME: images[n % IMAGES, None]})[0],
            **{who: _on(other, images) for who, other in others.items()},
        }
        square = torch.randn(SIDE, SIDE)
        figures = common.interleaved(
            {**sides, FLOOR: lambda _: torch.mm(square, square)}, rounds=rounds
        )
        rows = {
            who: np.concatenate([call(n) for n in range(IMAGES)]) for who, call in sides.items()
        }
    scale = complexity.measure(config.model, size_px=spec.size_px).product_flops / (2 * SIDE**3)
    figures[FLOOR] = {"p50_ms": scale * figures[FLOOR]["p50_ms"]}
    table: common.Table = [
        {"network": name, "px": spec.size_px, "who": who, **figure}
        for who, figure in figures.items()
    ]
    for row in table[1:]:
        row["x_torch"] = table[0]["p50_ms"] / row["p50_ms"]
        if row["who"] in rows:
            row["centred_cosine"] = float(common.centred(rows[row["who"]], rows[TORCH]).min())
    table[1] |= shape
    return table


def pixels(spec: InputSpec, *, count: int) -> common.Rows:
    """Scenes of the network's size `[N, 3, S, S]`, as the network takes them."""
    scenes = np.stack([scene(spec.size_px, spec.size_px, seed=seed) for seed in range(count)])
    scaled = (scenes / 255 - np.array(spec.mean)) / np.array(spec.std)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


def channels_last(images: common.Rows) -> torch.Tensor:
    return torch.from_numpy(images).contiguous(memory_format=torch.channels_last)


def _on(network: openvino_peer.Network, images: common.Rows) -> common.Call:
    return lambda n: network(images[n % IMAGES, None])


def optimised(net: onnx.ModelProto) -> tuple[onnxruntime.InferenceSession, dict[str, object]]:
    """ONNX Runtime on one thread, and what its optimised graph is made of."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        settings.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        session = onnxruntime.InferenceSession(
            net.SerializeToString(), settings, providers=["CPUExecutionProvider"]
        )
        nodes = onnx.load(settings.optimized_model_filepath).graph.node
    kinds = Counter(node.op_type for node in nodes)
    inside = sum(any(entry.name == "activation" for entry in node.attribute) for node in nodes)
    names = ("QuickGelu", "Sigmoid", "Clip", "Mul")
    fused = ", ".join([f"in Conv {inside}", *(f"{name} {kinds[name]}" for name in names)])
    return session, {"fused": fused, "reorders": kinds["ReorderInput"] + kinds["ReorderOutput"]}


if __name__ == "__main__":
    main()
