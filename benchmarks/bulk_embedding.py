"""Bulk embedding of 12-megapixel JPEGs with the shipped teacher, beside what it is made of.

    .venv/bin/python benchmarks/bulk_embedding.py [--small] [--json FILE] [--cores 2]

Decoding alone, inference alone and `lorgnette embed`'s worker take turns on the same photographs
with the same threads. On cores that do nothing else, both together can at best take the sum of
their times: that bound is one measure. The other gives each half its own half of the cores, and
compares with the slower one. `cpu_ms` counts processor time, whoever else is on the machine.
`Pillow, full` decodes every pixel and shrinks to the network's input, which `read_pixels` and
`pre.onnx` do instead.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image

from benchmarks import common
from lorgnette.encoder import Encoder
from lorgnette.image import MAX_PIXELS, read_pixels
from service.bulk.worker import BATCH, Work, Worker
from service.embedding import open_teacher
from service.gallery.scan import scan

TEACHER = common.ROOT / "models" / "teacher"
SIZE = (4032, 3024)


def main() -> None:
    options = common.options_of(__doc__, _cores)
    photographs, rounds = (4, 1) if options.small else (8, 4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder / "photos", photographs)
        table = measured(folder, threads=options.cores, rounds=rounds)
        table.append({"who": "cosine to Encoder, least", "ratio": parity(folder)})
    ratios = {row["who"]: row["ratio"] for row in table if "ratio" in row}
    targets = [
        common.at_least(half := "embed x slower half on half the cores", ratios[half], 0.9),
        common.at_most(decoding := "decoding / Pillow, full", ratios[decoding], 0.27),
    ]
    common.told(
        table, options, targets=targets, photographs=photographs, size=SIZE, threads=options.cores
    )


def _cores(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cores", type=int, default=2, help="threads of every side")


def written(folder: Path, count: int) -> None:
    """Photographs of 12 megapixels: smooth shapes with a sensor's noise, about 2 MB each."""
    folder.mkdir()
    for n in range(count):
        rng = np.random.default_rng(n)
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), np.int16)
        noise = rng.normal(0, 3, (SIZE[1], SIZE[0], 1)).astype(np.int16)
        photograph = Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))
        photograph.save(folder / f"{n:03}.jpg", quality=90)


def measured(folder: Path, *, threads: int, rounds: int) -> common.Table:
    photographs = scan(folder / "photos").photographs
    work = Work(TEACHER, folder / "out", photographs, len(photographs), MAX_PIXELS)
    work.out.mkdir()
    paths = [photo.path for photo in photographs]
    worker = Worker(work, threads=threads)
    images = [read_pixels(path) for path in paths[:BATCH]]
    batches = [images] * (len(paths) // BATCH)
    size_px = open_teacher(TEACHER).bundle.manifest.input.size_px

    def full(path: Path) -> object:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            return image.convert("RGB").resize((size_px, size_px), Image.Resampling.BICUBIC)

    def infer(batch: Sequence[np.ndarray]) -> object:
        return worker.embedded(np.concatenate([worker.prepared(image) for image in batch]))

    with ThreadPoolExecutor(threads) as pool:
        sides: dict[str, common.Call] = {
            "Pillow, full": lambda _: list(pool.map(full, paths)),
            "decoding alone": lambda _: list(pool.map(read_pixels, paths)),
            "inference alone": lambda _: list(pool.map(infer, batches)),
            "embed": lambda _: worker(0),
        }
        spent: dict[str, list[float]] = {who: [] for who in sides}
        figures = common.interleaved(
            {who: _counted(side, spent[who]) for who, side in sides.items()}, rounds=rounds
        )
    worker.close()
    cpu = {who: 1000 * statistics.median(times) for who, times in spent.items()}
    wall = {who: row["p50_ms"] for who, row in figures.items()}
    return told(wall, cpu, photographs=len(paths))


def _counted(call: common.Call, spent: list[float]) -> common.Call:
    """The call, noting the processor time it takes, whoever else is on the machine."""

    def counted(n: int) -> object:
        started = time.process_time()
        found = call(n)
        spent.append(time.process_time() - started)
        return found

    return counted


def told(wall: dict[str, float], cpu: dict[str, float], *, photographs: int) -> common.Table:
    """Milliseconds a photograph of each side, and what embedding reaches of what it could."""
    table: common.Table = [
        {
            "who": who,
            "ms": took / photographs,
            "cpu_ms": cpu[who] / photographs,
            "photographs_a_s": 1000 * photographs / took,
        }
        for who, took in wall.items()
    ]
    table += [
        {"who": "decoding / Pillow, full", **_ratios(wall, cpu, "decoding alone", "Pillow, full")},
        {
            "who": "embed x slower half on half the cores",
            "ratio": 2 * max(wall["decoding alone"], wall["inference alone"]) / wall["embed"],
        },
        {
            "who": "embed x bound of both on all cores",
            "ratio": (wall["decoding alone"] + wall["inference alone"]) / wall["embed"],
            "cpu_ratio": (cpu["decoding alone"] + cpu["inference alone"]) / cpu["embed"],
        },
    ]
    return table


def _ratios(
    wall: dict[str, float], cpu: dict[str, float], one: str, other: str
) -> dict[str, float]:
    return {"ratio": wall[one] / wall[other], "cpu_ratio": cpu[one] / cpu[other]}


def parity(folder: Path) -> float:
    """The least cosine of a shard's rows with those of the `Encoder`."""
    encoder: Encoder = open_teacher(TEACHER)
    photographs = scan(folder / "photos").photographs
    rows = np.load(folder / "out" / "00000.npy")
    wanted = np.stack([encoder.encode(photo.path) for photo in photographs])
    return float((rows * wanted).sum(axis=1).min())


if __name__ == "__main__":
    main()
