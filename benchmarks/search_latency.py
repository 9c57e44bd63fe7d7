"""What HTTP, JSON and metadata cost on top of the FAISS scan they carry.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/search_latency.py [--json FILE]

Three callers ask the same query in turn, so that a drifting machine treats them alike: FAISS in
this process (the floor), the service through the SDK, and the service's `/healthz` (what a
request costs that searches nothing). Vectors are random: the figure is time, not recall.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

COUNT, DIM, K = 10_000, 512, 10


def main() -> None:
    if os.environ.get("OMP_NUM_THREADS") != "1":
        sys.exit("run me with OMP_NUM_THREADS=1 in the environment: FAISS reads it when it loads")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), rounds=options.rounds)
    report = {"figures": figures, "conditions": conditions(options.rounds)}
    for name, row in figures.items():
        print(f"{name:28s} p50 {row['p50_ms']:7.3f} ms   p90 {row['p90_ms']:7.3f} ms")
    floor, ours = figures["FAISS in process"], figures["POST /search through the SDK"]
    print(f"over the floor: {ours['p50_ms'] - floor['p50_ms']:.3f} ms at p50")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(folder: Path, *, rounds: int) -> dict[str, dict[str, float]]:
    import faiss
    import httpx
    import numpy as np

    from lorgnette import Client
    from service.gallery.catalogue import Catalogue
    from service.gallery.publish import publish
    from service.gallery.records import NewItem, Stamp
    from tests.tiny_bundle import write_tiny_bundle

    space = write_tiny_bundle(folder / "student", role="query", dim=DIM).space
    rows = np.random.default_rng(0).standard_normal((COUNT, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    catalogue = Catalogue.open(folder / "data")
    stamp = Stamp(size=1, mtime_ns=1)
    items = [
        NewItem(id=f"item {n}", source="", stamp=stamp, metadata={"n": n}, vector=row)
        for n, row in enumerate(rows)
    ]
    catalogue.upsert(space, items)
    publish(catalogue, folder / "data", space, factory="Flat", recall_gate=0.95)
    catalogue.close()
    index = faiss.IndexFlatIP(DIM)
    index.add(rows)

    command = [sys.executable, "-m", "lorgnette", "serve", "--data", str(folder / "data")]
    command += ["--student", str(folder / "student"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        try:
            url = next(word for word in child.stdout.readline().split() if "://" in word)
            with Client(url) as client, httpx.Client(base_url=url) as http:
                return interleaved(
                    {
                        "FAISS in process": lambda query: index.search(query, K),
                        "POST /search through the SDK": lambda query: client.search_vectors(
                            query, space=space, k=K
                        ),
                        "GET /healthz": lambda _query: http.get("/healthz"),
                    },
                    queries=rows[:rounds],
                )
        finally:
            child.terminate()


def interleaved(
    callers: dict[str, Callable[[object], object]], *, queries: object
) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {name: [] for name in callers}
    for n in range(len(queries)):  # type: ignore[arg-type]
        for name, call in callers.items():
            started = time.perf_counter()
            call(queries[n : n + 1])  # type: ignore[index]
            times[name].append(1000 * (time.perf_counter() - started))
    warm = {name: values[len(values) // 10 :] for name, values in times.items()}
    return {
        name: {
            "p50_ms": statistics.median(values),
            "p90_ms": statistics.quantiles(values, n=10)[-1],
        }
        for name, values in warm.items()
    }


def conditions(rounds: int) -> dict[str, object]:
    packages = ("faiss-cpu", "numpy", "fastapi", "uvicorn", "httpx")
    return {
        "gallery": f"{COUNT} x {DIM} random unit rows, Flat, k = {K}, one query at a time",
        "rounds": rounds,
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "unset"),
    }


if __name__ == "__main__":
    main()
