"""The service beside Chroma and Qdrant's client in its local mode, on the same vectors.

    .venv/bin/python benchmarks/databases.py [--small] [--json FILE]

Each is asked by its own Python client, so that a client's cost counts on every side: the service
and Chroma over HTTP, Qdrant without any. They take turns with the same query; recall is against
numpy. One that is not installed (the extra `bench`) is left out, and said to be.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, serving
from lorgnette import Client

Ask = Callable[[common.Rows], list[int]]
"""One query `[D]` to the numbers of its ten nearest."""

_WAIT_S = 60


def main() -> None:
    options = common.options_of(__doc__)
    count, rounds = (1_000, 20) if options.small else (10_000, 300)
    rows, queries = common.clustered(count), common.clustered(rounds, seed=2)
    truth = common.exact(rows, queries)
    sides = {"the service": _ours, "Chroma server": _chroma, "Qdrant client, local": _qdrant}
    needs = {"Chroma server": "chromadb", "Qdrant client, local": "qdrant_client"}
    missing = [who for who, module in needs.items() if find_spec(module) is None]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        asks: dict[str, Ask] = {
            who: stack.enter_context(side(Path(name), rows))
            for who, side in sides.items()
            if who not in missing
        }
        figures = common.interleaved(
            {who: lambda n, a=ask: a(queries[n]) for who, ask in asks.items()}, rounds=rounds
        )
        recalls = {
            who: common.recall([ask(query) for query in queries], truth)
            for who, ask in asks.items()
        }
    table: common.Table = [
        {"who": who, **row, "searches_per_s": 1000 / row["p50_ms"], "recall": recalls[who]}
        for who, row in figures.items()
    ]
    table += [{"who": f"{who}: not installed"} for who in missing]
    others = [who for who in figures if who != "the service"]
    targets = [
        common.at_most(
            f"the service's p50 / {who}'s",
            figures["the service"]["p50_ms"] / figures[who]["p50_ms"], 1,
        )
        for who in others
    ]  # fmt: skip
    common.told(
        table,
        options,
        targets=targets,
        gallery=f"{count} x {common.DIM}",
        k=common.K,
        rounds=rounds,
    )


@contextmanager
def _ours(folder: Path, rows: common.Rows) -> Iterator[Ask]:
    space = serving.filled(folder, rows, factory="Flat")
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


if __name__ == "__main__":
    main()
