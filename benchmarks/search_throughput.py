"""Searches a second at concurrency 64 over an exact index: what batching behind the work gives.

    .venv/bin/python benchmarks/search_throughput.py [--small] [--json FILE]

One worker each: the service, the service with every search asked of FAISS alone, and FAISS in this
process with 64 queries a call, which is what no service with one core can pass. They take turns,
and the middle of their rounds counts. The callers are a process of their own with prepared bytes,
which shares the cores with the service. `cpu_ms` is the processor time a search takes of the
service, or of FAISS here, whoever else is on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faiss
import numpy as np

from benchmarks import common, serving
from benchmarks.calling import raw_search
from benchmarks.index import flat_of

CALLERS = 64
OURS, ALONE, FLOOR = (
    "the service, one worker",
    "the same, one search a call",
    "FAISS in process, 64 a call",
)


class Round(NamedTuple):
    searches_per_s: float
    cpu_ms: float


def main() -> None:
    options = common.options_of(__doc__)
    count, rounds, seconds = (4_000, 1, 1.0) if options.small else (100_000, 5, 3.0)
    rows, queries = common.clustered(count), common.clustered(256, seed=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        space = serving.filled(folder, rows, factory="Flat")
        index = flat_of(rows)
        # As the service sets it: FAISS's own default keeps batches of 64 from BLAS.
        faiss.cvar.distance_compute_blas_threshold = 1024
        with (
            serving.serving(folder) as ours,
            serving.serving(folder, is_alone=True) as alone,
        ):
            turns: dict[str, Callable[[], Round]] = {
                OURS: _calling(ours, folder / "ours", space.id, queries, seconds=seconds),
                ALONE: _calling(alone, folder / "alone", space.id, queries, seconds=seconds),
                FLOOR: lambda: _in_process(index, queries, seconds),
            }
            found = [{who: turn() for who, turn in turns.items()} for _ in range(rounds)]
    middle = {
        who: Round(*map(statistics.median, zip(*(one[who] for one in found), strict=True)))
        for who in turns
    }
    gallery = f"{count} x {common.DIM}, Flat, k = {common.K}, raw float32"
    _tell(middle, options, gallery=gallery, rounds=rounds, seconds=seconds)


def _tell(middle: dict[str, Round], options: argparse.Namespace, **settings: object) -> None:
    ours, alone, floor = (middle[who] for who in (OURS, ALONE, FLOOR))
    of_alone, of_floor = (ours.searches_per_s / x.searches_per_s for x in (alone, floor))
    common.told(
        [
            *({"who": who, **figures._asdict()} for who, figures in middle.items()),
            {"who": "ours / one search a call", "ratio": of_alone},
            {"who": "ours / FAISS in process", "ratio": of_floor},
            {"who": "FAISS / ours, by processor time", "ratio": floor.cpu_ms / ours.cpu_ms},
        ],
        options,
        targets=[
            common.at_least("ours / one search a call", of_alone, 5),
            common.at_least("ours / FAISS in process", of_floor, 0.75),
        ],
        callers=CALLERS,
        **settings,
    )


def _calling(
    served: serving.Served, file: Path, space: str, queries: common.Rows, *, seconds: float
) -> Callable[[], Round]:
    """A turn of the callers' process with one service."""
    file.write_text("\n".join(raw_search(served.url, space, query).hex() for query in queries))
    command = [sys.executable, "-m", "benchmarks.calling", served.url, str(file), str(CALLERS)]

    def turn() -> Round:
        before = served.processor_s()
        done = subprocess.run(
            [*command, str(seconds)], stdout=subprocess.PIPE, text=True, check=True, cwd=common.ROOT
        )
        rate = float(done.stdout)
        return Round(rate, 1000 * (served.processor_s() - before) / (rate * seconds))

    return turn


def _in_process(index: faiss.IndexFlatIP, queries: common.Rows, seconds: float) -> Round:
    asked, started, spent = 0, time.perf_counter(), time.process_time()
    batch = np.ascontiguousarray(queries[:CALLERS])
    while time.perf_counter() - started < seconds:
        index.search(batch, common.K)
        asked += len(batch)
    spent = time.process_time() - spent
    return Round(asked / (time.perf_counter() - started), 1000 * spent / asked)


if __name__ == "__main__":
    main()
