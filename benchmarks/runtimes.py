"""The teacher's network in ONNX Runtime and in OpenVINO: time, and what becomes of the rows.

    .venv/bin/python benchmarks/runtimes.py [--small] [--json FILE] [--photos FOLDER]

Batches as `lorgnette embed` makes them, on one thread, in turns. `centred_cosine` is the least
agreement with ONNX Runtime's rows about their mean, `neighbours_kept` the share of the ten nearest
that a gallery of the other rows still gives to ONNX Runtime's as queries, and `golden` whether the
bundle would be opened: its golden vectors must come back with the cosine that fp16 storage owes
them. Without `--photos`, which says more, the images are drawn.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx

from benchmarks import common, openvino_peer
from export.graph import with_batch
from export.samples import scene
from lorgnette.bundle import Bundle
from lorgnette.encoder import GOLDEN_MIN_COSINE, INPUT_NAME, open_graph
from lorgnette.image import read_pixels
from service.bulk.worker import BATCH
from service.gallery.scan import scan

TEACHER = common.ROOT / "models" / "teacher"
OURS = "ONNX Runtime"


def main() -> None:
    options = common.options_of(__doc__, _photos)
    count = 4 * BATCH if options.small else 40 * BATCH
    bundle = Bundle.open(TEACHER)
    pre = open_graph(bundle.file("pre"), threads=1)
    images = np.concatenate(
        [pre.run(None, {INPUT_NAME: image})[0] for image in _images(options.photos, count)]
    )
    table = measured(bundle, images[: len(images) // BATCH * BATCH], _golden(bundle, pre))
    common.told(table, options, images=len(images), batch=BATCH, drawn=options.photos is None)


def _photos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", type=Path, help="measure on the photographs of a folder")


def _images(folder: Path | None, count: int) -> Sequence[np.ndarray]:
    if folder is None:
        return [scene(480, 640, seed=seed) for seed in range(count)]
    found = scan(folder).photographs
    spread = islice(found, 0, None, max(1, len(found) // count))
    return [read_pixels(photo.path) for photo in islice(spread, count)]


Golden = tuple[common.Rows, common.Rows]
"""Pixels `[BATCH, 3, S, S]` and rows `[M, D]`, M at most BATCH: what the first M must give."""


def _golden(bundle: Bundle, pre: object) -> Golden:
    cases = list(islice(bundle.golden(), BATCH))
    pixels = [pre.run(None, {INPUT_NAME: case.pixels})[0] for case in cases]  # type: ignore[attr-defined]
    return np.resize(np.concatenate(pixels), (BATCH, *pixels[0].shape[1:])), np.concatenate(
        [case.vector for case in cases]
    )


def measured(bundle: Bundle, images: common.Rows, golden: Golden) -> common.Table:
    net = open_graph(bundle.file("net"), threads=1)
    name, batches = net.get_inputs()[0].name, np.split(images, len(images) // BATCH)
    fixed = with_batch(onnx.load(bundle.file("net")), BATCH)
    sides: dict[str, openvino_peer.Network] = {
        OURS: lambda pixels: net.run(None, {name: pixels})[0],
        **openvino_peer.networks(fixed),
    }
    rows: dict[str, list[common.Rows]] = {who: [] for who in sides}

    def kept(who: str) -> common.Call:
        return lambda n: rows[who].append(sides[who](batches[n]))

    figures = common.interleaved({who: kept(who) for who in sides}, rounds=len(batches))
    ours = common.unit(np.concatenate(rows[OURS]))
    return [
        {
            "who": who,
            "ms_an_image": figure["p50_ms"] / BATCH,
            "x_onnx_runtime": figures[OURS]["p50_ms"] / figure["p50_ms"],
            **agreement(common.unit(np.concatenate(rows[who])), ours),
            "golden": _verdict(sides[who], golden),
        }
        for who, figure in figures.items()
    ]


def agreement(rows: common.Rows, ours: common.Rows) -> dict[str, float]:
    return {
        "centred_cosine": float(common.centred(rows, ours).min()),
        "neighbours_kept": common.recall(
            common.exact(rows, ours, k=common.K).tolist(), common.exact(ours, ours, k=common.K)
        ),
    }


def _verdict(network: openvino_peer.Network, golden: Golden) -> str:
    pixels, wanted = golden
    found = common.unit(network(pixels)[: len(wanted)])
    least = float((found * wanted).sum(axis=1).min())
    return f"{least:.5f}, {'opened' if least >= GOLDEN_MIN_COSINE['fp16'] else 'refused'}"


if __name__ == "__main__":
    main()
