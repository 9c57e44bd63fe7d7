"""What int8 gives on this machine: bytes, and time beside float32, on one thread.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/int8_student.py BUNDLE [--runs 200]

BUNDLE holds `int8` and `fp16` or `fp32` (fp16 storage computes in float32, at the same speed). The
two take turns, run by run, so that what else the machine does falls on both; ratios are of the
fastest runs and of the medians. `network` is an image of the network's own size; the others pay for
the resize too, which both do alike. The last lines say which weights the bytes of int8 are.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from export.int8_graph import with_float32  # noqa: E402
from export.samples import scene  # noqa: E402
from lorgnette import Bundle, Encoder  # noqa: E402
from lorgnette.manifest import Variant  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    plain: Variant = "fp32" if "fp32" in bundle.manifest.files else "fp16"
    encoders = [Encoder(bundle, variant=variant, threads=1) for variant in (plain, "int8")]
    size = bundle.manifest.input.size_px
    for name, (height, width) in {
        "network": (size, size),
        "600 x 400": (400, 600),
        "1600 x 1200": (1200, 1600),
    }.items():
        times = measured(encoders, scene(height, width, seed=1), runs=options.runs)
        fastest, median = times.min(axis=0), np.median(times, axis=0)
        print(
            f"{name:12s} float32 {fastest[0]:6.2f} ms  int8 {fastest[1]:6.2f} ms  "
            f"ratio {fastest[0] / fastest[1]:.2f} (medians {median[0] / median[1]:.2f})"
        )
    sizes(bundle, plain)


def measured(encoders: list[Encoder], pixels: np.ndarray, *, runs: int) -> np.ndarray:
    """Milliseconds `[runs, encoders]`, the encoders taking turns."""
    times = np.empty((runs, len(encoders)))
    for run in range(-3, runs):
        for place, encoder in enumerate(encoders):
            start = time.perf_counter()
            encoder.encode_pixels(pixels)
            times[max(run, 0), place] = 1000 * (time.perf_counter() - start)
    return times


def sizes(bundle: Bundle, plain: Variant) -> None:
    """Bytes of both files, and of the int8 file's weights by type and name."""
    whole = len(with_float32(onnx.load(bundle.file(plain))).SerializeToString())
    small = bundle.manifest.files["int8"].bytes
    print(f"float32 {whole / 1e6:.2f} MB  int8 {small / 1e6:.2f} MB  {small / whole:.1%}")
    held: Counter[str] = Counter()
    graph = onnx.load(bundle.file("int8")).graph
    for entry in graph.initializer:
        kind = onnx.TensorProto.DataType.Name(entry.data_type).lower()
        held[kind] += len(entry.raw_data)
    held["graph"] = small - sum(held.values())
    for kind, count in held.most_common(6):
        print(f"  {kind:10s} {count / 1e6:5.2f} MB")


if __name__ == "__main__":
    main()
