"""Searches a second at concurrency 64 over an exact index: what batching behind the work gives.

    .venv/bin/python benchmarks/search_throughput.py [--small] [--json FILE]

One worker each: the service, the service with every search asked of FAISS alone, and FAISS in this
process with 64 queries a call, which is what no service can pass. They take turns, and the middle
of their rounds counts. The callers are a process of their own with prepared bytes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faiss
import numpy as np

from benchmarks import common, serving
from benchmarks.index import flat_of

CALLERS = 64


def main() -> None:
    options = common.options_of(__doc__)
    count, rounds, seconds = (4_000, 1, 1.0) if options.small else (100_000, 5, 3.0)
    rows, queries = common.clustered(count), common.clustered(256, seed=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        space = serving.filled(folder, rows, factory="Flat")
        with (
            serving.serving(folder) as ours,
            serving.serving(folder, is_alone=True) as alone,
        ):
            for url, file in ((ours, "ours"), (alone, "alone")):
                framed = [serving.raw_search(url, space.id, query).hex() for query in queries]
                (folder / file).write_text("\n".join(framed))
            rates: dict[str, list[float]] = {"ours": [], "alone": [], "FAISS": []}
            index = flat_of(rows)
            # As the service sets it: FAISS's own default keeps batches of 64 from BLAS.
            faiss.cvar.distance_compute_blas_threshold = 1024
            for _ in range(rounds):
                rates["ours"].append(_called(ours, folder / "ours", seconds))
                rates["alone"].append(_called(alone, folder / "alone", seconds))
                rates["FAISS"].append(_in_process(index, queries, seconds))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    of_alone, of_faiss = middle["ours"] / middle["alone"], middle["ours"] / middle["FAISS"]
    common.told(
        [
            {"who": "the service, one worker", "searches_per_s": middle["ours"]},
            {"who": "the same, one search a call", "searches_per_s": middle["alone"]},
            {"who": "FAISS in process, 64 a call", "searches_per_s": middle["FAISS"]},
            {"who": "ours / one search a call", "ratio": of_alone},
            {"who": "ours / FAISS in process", "ratio": of_faiss},
        ],
        options,
        targets=[
            common.at_least("ours / one search a call", of_alone, 5),
            common.at_least(
                "ours / FAISS in process (the callers share the cores with the service)",
                of_faiss, 0.75,
            ),
        ],
        gallery=f"{count} x {common.DIM}, Flat, k = {common.K}, raw float32",
        callers=CALLERS, rounds=rounds, seconds=seconds,
    )  # fmt: skip


def _called(url: str, file: Path, seconds: float) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", url, str(file), str(CALLERS), str(seconds)],
        stdout=subprocess.PIPE, text=True, check=True, cwd=common.ROOT,
    )  # fmt: skip
    return float(done.stdout)


def _in_process(index: faiss.IndexFlatIP, queries: common.Rows, seconds: float) -> float:
    asked, started = 0, time.perf_counter()
    batch = np.ascontiguousarray(queries[:CALLERS])
    while time.perf_counter() - started < seconds:
        index.search(batch, common.K)
        asked += len(batch)
    return asked / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
