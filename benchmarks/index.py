"""`auto` beside exact search and the usual graph libraries, one query at a time, one thread.

    .venv/bin/python benchmarks/index.py [--count 100000 ...] [--small] [--cache DIR] [--json FILE]

All search the same clustered vectors; queries were never among them, and recall is against numpy.
A graph's breadth is raised until it reaches the recall `auto` reached at gate 0.99, and the
figure of that breadth is given with its recall. Graphs are built by all cores. hnswlib and usearch
are asked in processes of their own, one after the other, and Flat again in each, so that `x_flat`
is a ratio of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks import cache, common
from benchmarks.cache import Cache
from service.gallery import auto, faiss_index
from service.gallery.sample import Sample

GATES = (0.99, 0.975)
GRAPH_LIMIT = 100_000
"""Graphs of more rows take longer to build than all else here together."""
BREADTHS = (32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512)
PEERS = ("hnswlib", "usearch")
_TARGETS = {
    (1_000_000, 0.99): (100, 0.55),
    (1_000_000, 0.975): (100, 0.30),
    (100_000, 0.99): (30, 0.30),
}
"""Speed and memory beside exact search, at least and at most."""


def main() -> None:
    options = common.options_of(__doc__, _more, cache.add_option)
    kept = Cache.of(options.cache)
    counts = options.count or ([20_000] if options.small else [100_000, 1_000_000])
    table = [row for count in counts for row in measured(count, kept, is_small=options.small)]
    common.told(
        table,
        options,
        targets=targets(table),
        gates=GATES,
        k=common.K,
        graphs="M = 24, ef_construction = 100",
    )


def targets(table: common.Table) -> list[str]:
    """How the targets of 100,000 and 1,000,000 rows fared, as far as those were measured."""
    rows = {(row["count"], row["who"]): row for row in table}
    lines = []
    for (count, gate), (speed, memory) in _TARGETS.items():
        row = rows.get((count, f"auto, gate {gate}"))
        if row is None:
            continue
        case = f"{count:,} rows, gate {gate}"
        lines.append(common.at_least(f"{case}, x exact search", row["x_flat"], speed))
        lines.append(common.at_most(f"{case}, memory beside it", row["memory"], memory))
        graphs = [
            other["x_flat"]
            for (size, who), other in rows.items()
            if size == count and not who.startswith("auto")
        ]
        if graphs:
            ratio = row["x_flat"] / max(graphs)
            lines.append(common.at_least(f"{case}, x the best graph", ratio, 1.5))
    return lines


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, nargs="*")


@dataclass(frozen=True)
class Asked:
    """What is searched, for what, and what numpy found. flat: FAISS's exact search of it."""

    rows: common.Rows
    queries: common.Rows
    truth: NDArray[np.int64]
    flat: faiss.IndexFlatIP

    @classmethod
    def of(cls, count: int, kept: Cache, *, is_small: bool) -> Asked:
        asked = 60 if is_small else 300
        rows = kept.array(f"rows-{count}", lambda: common.clustered(count))
        queries = common.clustered(asked, seed=2)
        truth = kept.array(f"truth-{count}-{asked}", lambda: common.exact(rows, queries))
        return cls(rows, queries, truth, flat_of(rows))


def flat_of(rows: common.Rows) -> faiss.IndexFlatIP:
    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    return flat


def measured(count: int, kept: Cache, *, is_small: bool) -> common.Table:
    asked = Asked.of(count, kept, is_small=is_small)
    table = [auto_row(asked, kept, gate=gate) for gate in GATES]
    if count <= GRAPH_LIMIT:
        wanted = float(table[0]["recall"])
        table.append(_faiss_graph(asked, wanted))
        table += [row for peer in PEERS if (row := _peer(peer, asked, wanted))]
    return table


def auto_row(asked: Asked, kept: Cache, *, gate: float) -> dict[str, Any]:
    rows, queries = asked.rows, asked.queries
    name = f"auto-{len(rows)}-{gate}"
    facts = kept.facts(name, lambda: _build(rows, kept, name, gate=gate))
    file = kept.folder / f"{name}.index"
    index = faiss_index.read(file)
    found = index.search(queries, k=common.K)[1]
    row = _timed(asked.flat, lambda n: index.search(queries[n : n + 1], k=common.K), queries)
    return {
        "count": len(rows), "who": f"auto, gate {gate}", "kind": facts["kind"],
        "recall": common.recall(found.tolist(), asked.truth), **row,
        "memory": file.stat().st_size / rows.nbytes, "build_s": facts["build_s"],
    }  # fmt: skip


def _build(rows: common.Rows, kept: Cache, name: str, *, gate: float) -> dict[str, Any]:
    """Write the index; told is how it searches and how long the build took, by a clock."""
    started = time.perf_counter()
    built = auto.built(rows, Sample.of(rows, seed=0), factory=auto.AUTO, gate=gate)
    took_s = time.perf_counter() - started
    # A file whose facts are lacking is of a run that was stopped.
    (kept.folder / f"{name}.index").unlink(missing_ok=True)
    kept.file(f"{name}.index", built.index.write)
    effort = built.index.effort
    efforts = {"nprobe": effort.probes, "k_factor": effort.k_factor}
    told = [f"{key} {value:g}" for key, value in efforts.items() if value is not None]
    return {"kind": ", ".join([built.factory, *told]), "build_s": took_s}


def _timed(flat: faiss.IndexFlatIP, call: common.Call, queries: common.Rows) -> dict[str, float]:
    """p50 of the call, and against that of Flat: a block of calls, then one of Flat, in turns, so
    that neither finds the caches as the other left them."""
    ours, floor = [], []
    for start in range(0, len(queries), 30):
        for times, ask in ((ours, call), (floor, None)):
            for n in range(start, min(start + (30 if ask else 5), len(queries))):
                before = time.perf_counter()
                ask(n) if ask else flat.search(queries[n : n + 1], common.K)
                times.append(1000 * (time.perf_counter() - before))
    p50, flat_p50 = float(np.median(ours)), float(np.median(floor))
    p99 = float(np.quantile(ours, 0.99))
    return {"p50_ms": p50, "p99_ms": p99, "flat_p50_ms": flat_p50, "x_flat": flat_p50 / p50}


def _faiss_graph(asked: Asked, wanted: float) -> dict[str, Any]:
    rows, queries = asked.rows, asked.queries
    index = faiss.IndexHNSWFlat(rows.shape[1], 24, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    started = time.perf_counter()
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    index.add(rows)
    faiss.omp_set_num_threads(1)
    took_s = time.perf_counter() - started
    for breadth in BREADTHS:
        index.hnsw.efSearch = breadth
        recall = common.recall(index.search(queries, common.K)[1].tolist(), asked.truth)
        if recall >= wanted:
            break
    row = _timed(asked.flat, lambda n: index.search(queries[n : n + 1], common.K), queries)
    memory = faiss.serialize_index(index).nbytes / rows.nbytes
    return {"count": len(rows), "who": "FAISS HNSW24", "kind": f"ef {breadth}", "recall": recall,
            **row, "memory": memory, "build_s": took_s}  # fmt: skip


def _peer(name: str, asked: Asked, wanted: float) -> dict[str, Any] | None:
    """The row of a peer, measured by this file in another process; None if it is not installed."""
    if find_spec(name) is None:
        print(f"{name} is not installed (the extra `bench`): left out", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as folder:
        for file, array in (
            ("rows", asked.rows),
            ("queries", asked.queries),
            ("truth", asked.truth),
        ):
            np.save(Path(folder) / f"{file}.npy", array)
        code = f"from benchmarks.index import peer_here; peer_here({name!r}, {folder!r}, {wanted})"
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE, text=True, check=True, cwd=common.ROOT,
        )  # fmt: skip
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def peer_here(name: str, folder: str, wanted: float) -> None:
    """Build the peer, find the breadth, time it beside Flat, print the row as JSON."""
    rows, queries, truth = (
        np.load(Path(folder) / f"{file}.npy") for file in ("rows", "queries", "truth")
    )
    flat = flat_of(rows)
    started = time.perf_counter()
    graph = (_Hnswlib if name == "hnswlib" else _Usearch)(rows, Path(folder) / "saved")
    took_s = time.perf_counter() - started
    for breadth in BREADTHS:
        graph.widen(breadth)
        found = [graph.ask(query).tolist() for query in queries]
        if (recall := common.recall(found, truth)) >= wanted:
            break
    row = _timed(flat, lambda n: graph.ask(queries[n]), queries)
    print(json.dumps({
        "count": len(rows), "who": graph.name, "kind": f"ef {breadth}", "recall": recall, **row,
        "memory": graph.saved_bytes / rows.nbytes, "build_s": took_s,
    }))  # fmt: skip


class _Hnswlib:
    name = "hnswlib M24"

    def __init__(self, rows: common.Rows, saved: Path) -> None:
        import hnswlib

        self._index = hnswlib.Index(space="ip", dim=rows.shape[1])
        self._index.init_index(max_elements=len(rows), ef_construction=100, M=24)
        self._index.add_items(rows, num_threads=os.cpu_count() or 1)
        self._index.set_num_threads(1)
        self._index.save_index(str(saved))
        self.saved_bytes = saved.stat().st_size

    def widen(self, breadth: int) -> None:
        self._index.set_ef(breadth)

    def ask(self, query: common.Rows) -> NDArray[np.int64]:
        return self._index.knn_query(query, k=common.K)[0][0]


class _Usearch:
    name = "usearch bf16 M24"

    def __init__(self, rows: common.Rows, saved: Path) -> None:
        from usearch.index import Index

        self._index = Index(
            ndim=rows.shape[1], metric="ip", dtype="bf16", connectivity=24, expansion_add=100
        )
        self._index.add(np.arange(len(rows)), rows, threads=os.cpu_count() or 1)
        self._index.save(str(saved))
        self.saved_bytes = saved.stat().st_size

    def widen(self, breadth: int) -> None:
        self._index.expansion_search = breadth

    def ask(self, query: common.Rows) -> NDArray[np.int64]:
        return self._index.search(query, common.K, threads=1).keys


if __name__ == "__main__":
    main()
