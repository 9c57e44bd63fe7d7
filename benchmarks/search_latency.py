"""What HTTP, JSON and metadata cost on top of the FAISS scan they carry, at concurrency 1.

    .venv/bin/python benchmarks/search_latency.py [--small] [--json FILE]

FAISS in this process is the floor. The service is asked by prepared bytes (what the server itself
costs): JSON of numbers, JSON of base64, and raw; then through the SDK; and its `/healthz`, which
searches nothing. They take turns with the same query.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx

from benchmarks import common, serving
from benchmarks.index import flat_of
from lorgnette import Client
from lorgnette.vectors import to_base64

FLOOR = "FAISS in process"


def main() -> None:
    options = common.options_of(__doc__)
    count, rounds = (2_000, 20) if options.small else (10_000, 1_500)
    rows, queries = common.clustered(count), common.clustered(rounds, seed=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        space = serving.filled(folder, rows, factory="Flat")
        index = flat_of(rows)
        with serving.serving(folder) as url, asyncio.Runner() as runner:
            wire = runner.run(serving.Wire.open(url))
            forms = {form: _framed(url, space.id, queries, form) for form in _FORMS}

            def asked(form: str) -> common.Call:
                return lambda n: runner.run(wire.ask(forms[form][n]))

            with Client(url) as client, httpx.Client(base_url=url) as http:
                figures = common.interleaved(
                    {
                        FLOOR: lambda n: index.search(queries[n : n + 1], common.K),
                        **{f"POST /search, {form}": asked(form) for form in forms},
                        "POST /search through the SDK": lambda n: client.search_vectors(
                            queries[n : n + 1], space=space, k=common.K
                        ),
                        "GET /healthz through httpx": lambda _: http.get("/healthz"),
                    },
                    rounds=rounds,
                )
    over = {who: row["p50_ms"] - figures[FLOOR]["p50_ms"] for who, row in figures.items()}
    common.told(
        [{"who": who, **row, "over_floor_ms": over[who]} for who, row in figures.items()],
        options,
        targets=[
            common.at_most(f"{form}, ms over the floor", over[f"POST /search, {form}"], bound)
            for form, bound in (("JSON numbers", 0.30), ("raw float32", 0.25))
        ],
        gallery=f"{count} x {common.DIM}, Flat, k = {common.K}, one query at a time",
        rounds=rounds,
    )


_FORMS = ("JSON numbers", "JSON base64", "raw float32")


def _framed(url: str, space: str, queries: common.Rows, form: str) -> list[bytes]:
    """Each query as the bytes of a request."""
    if form == "raw float32":
        return [serving.raw_search(url, space, query) for query in queries]
    bodies = [
        {"dtype": "f32", "data": to_base64(q[None], dtype="f32")}
        if form == "JSON base64"
        else [q.tolist()]
        for q in queries
    ]
    return [
        serving.http_request(
            url, "/search", kind="application/json",
            body=json.dumps({"space": space, "vectors": body, "k": common.K}).encode(),
        )
        for body in bodies
    ]  # fmt: skip


if __name__ == "__main__":
    main()
