"""The service beside Chroma and Qdrant's client in its local mode, on the same vectors.

    .venv/bin/python benchmarks/databases.py [--small] [--json FILE]

Each is asked by its own Python client, so that a client's cost counts on every side: the service
and Chroma over HTTP, Qdrant without any. They take turns with the same query, and then with four
callers at once; the service's index is `auto`'s at gate 0.99, and recall is against numpy. One
that is not installed (the extra `bench`) is left out, and said to be.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, serving
from lorgnette import Client

Ask = Callable[[common.Rows], list[int]]
"""One query `[D]` to the numbers of its ten nearest."""

COUNTS = (10_000, 100_000)
CALLERS = 4
OURS = "the service"
_WAIT_S = 60


def main() -> None:
    options = common.options_of(__doc__)
    counts = (1_000,) if options.small else COUNTS
    rounds, seconds = (20, 0.2) if options.small else (200, 2.0)
    table: common.Table = []
    for count in counts:
        table += measured(count, rounds=rounds, seconds=seconds)
    missing = [who for who, (_, module) in SIDES.items() if find_spec(module) is None]
    told = [{"who": f"{who}: not installed"} for who in missing]
    common.told(
        table + told,
        options,
        targets=targets(table),
        vectors=f"{common.DIM} numbers",
        k=common.K,
        rounds=rounds,
        callers=CALLERS,
    )


def measured(count: int, *, rounds: int, seconds: float) -> common.Table:
    rows, queries = common.clustered(count), common.clustered(rounds, seed=2)
    truth = common.exact(rows, queries)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        asks: dict[str, Ask] = {
            who: stack.enter_context(side(Path(name), rows))
            for who, (side, module) in SIDES.items()
            if find_spec(module) is not None
        }
        figures = common.interleaved(
            {who: lambda n, a=ask: a(queries[n]) for who, ask in asks.items()}, rounds=rounds
        )
        rates = [{who: rate(ask, queries, seconds) for who, ask in asks.items()} for _ in range(3)]
        recalls = {
            who: common.recall([ask(query) for query in queries], truth)
            for who, ask in asks.items()
        }
    return [
        {
            "count": count, "who": who, **row,
            "searches_per_s": statistics.median(turn[who] for turn in rates),
            "recall": recalls[who],
        }
        for who, row in figures.items()
    ]  # fmt: skip


def rate(ask: Ask, queries: common.Rows, seconds: float) -> float:
    """Answers a second to callers who ask one after another, threads of this process."""
    ends = time.perf_counter() + seconds

    def call(first: int) -> int:
        answered = 0
        while time.perf_counter() < ends:
            ask(queries[(first + CALLERS * answered) % len(queries)])
            answered += 1
        return answered

    started = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as pool:
        answered = sum(pool.map(call, range(CALLERS)))
    return answered / (time.perf_counter() - started)


def targets(table: common.Table) -> list[str]:
    """The service ahead of each, in the time of one search and in searches a second."""
    ours = {row["count"]: row for row in table if row["who"] == OURS}
    lines = []
    for row in (row for row in table if row["who"] != OURS):
        own, case = ours[row["count"]], f"{row['count']:,} rows, the service's"
        time_, rate_ = own["p50_ms"] / row["p50_ms"], own["searches_per_s"] / row["searches_per_s"]
        lines.append(common.at_most(f"{case} p50 / {row['who']}'s", time_, 1))
        lines.append(common.at_least(f"{case} searches a second / {row['who']}'s", rate_, 1))
    return lines


@contextmanager
def _ours(folder: Path, rows: common.Rows) -> Iterator[Ask]:
    space = serving.filled(folder, rows, factory="auto", gate=0.99)
    with serving.serving(folder) as served, Client(served.url) as client:

        def ask(query: common.Rows) -> list[int]:
            answer = client.search_vectors(query[None], space=space, k=common.K)
            return [int(hit.id) for hit in answer.results[0]]

        yield ask


@contextmanager
def _chroma(folder: Path, rows: common.Rows) -> Iterator[Ask]:
    import chromadb

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    command = [str(program), "run", "--path", str(folder / "chroma"), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            client = _until_up(lambda: chromadb.HttpClient(host="127.0.0.1", port=port))
            held = client.create_collection(
                "gallery", configuration={"hnsw": {"space": "ip", "ef_search": 128}}
            )
            for start in range(0, len(rows), 2_000):
                part = rows[start : start + 2_000]
                names = [str(n) for n in range(start, start + len(part))]
                held.add(ids=names, embeddings=part, metadatas=[{"n": int(n)} for n in names])

            def ask(query: common.Rows) -> list[int]:
                found = held.query(query_embeddings=query[None], n_results=common.K)
                return [int(name) for name in found["ids"][0]]

            yield ask
        finally:
            child.terminate()


def _until_up(connect: Callable[[], object]) -> object:
    ends = time.monotonic() + _WAIT_S
    while True:
        try:
            return connect()
        except Exception:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)


@contextmanager
def _qdrant(_: Path, rows: common.Rows) -> Iterator[Ask]:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection(
        "gallery",
        vectors_config=models.VectorParams(size=rows.shape[1], distance=models.Distance.DOT),
    )
    for start in range(0, len(rows), 2_000):
        part = range(start, min(start + 2_000, len(rows)))
        client.upsert(
            "gallery",
            [models.PointStruct(id=n, vector=rows[n].tolist(), payload={"n": n}) for n in part],
        )

    def ask(query: common.Rows) -> list[int]:
        found = client.query_points("gallery", query=query, limit=common.K).points
        return [int(point.id) for point in found]

    yield ask
    client.close()


SIDES = {
    OURS: (_ours, "service"),
    "Chroma server": (_chroma, "chromadb"),
    "Qdrant client, local": (_qdrant, "qdrant_client"),
}
"""How each is filled and asked, and the module it needs."""

if __name__ == "__main__":
    main()
