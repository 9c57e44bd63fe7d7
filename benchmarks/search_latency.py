"""What HTTP, JSON and metadata cost on top of the FAISS scan they carry, at concurrency 1.

    .venv/bin/python benchmarks/search_latency.py [--small] [--json FILE]

FAISS in this process is the floor. The service is asked over a socket with prepared bytes, as JSON
of numbers, JSON of base64 and raw, so that no client's cost is in it; then through the SDK; and
its `/healthz`, which searches nothing. What HTTP costs in Python at the least is said by a bare
ASGI application under the same server: it reads the same requests and answers with as many bytes;
or it asks FAISS in its event loop, and checks and describes nothing. All take turns with the same
query.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import bare, common, serving
from benchmarks.calling import Wire, http_request, raw_search
from benchmarks.index import flat_of
from lorgnette import Client
from lorgnette.vectors import to_base64, to_bytes

FLOOR, LEAST = "FAISS in process", "bare ASGI, raw float32, FAISS in its loop"
_OCTETS, _JSON = "application/octet-stream", "application/json"


def main() -> None:
    options = common.options_of(__doc__)
    count, rounds = (2_000, 20) if options.small else (10_000, 1_500)
    rows, queries = common.clustered(count), common.clustered(rounds, seed=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        space = serving.filled(folder, rows, factory="Flat")
        index = flat_of(rows)
        with (
            serving.serving(folder) as served,
            bare.serving(folder, rows) as least,
            Client(served.url) as client,
        ):
            calls: dict[str, common.Call] = {
                FLOOR: lambda n: index.search(queries[n : n + 1], common.K),
                **_bare_calls(least, space.id, queries),
                **_calls(served.url, space.id, queries),
                "POST /search through the SDK": lambda n: client.search_vectors(
                    queries[n : n + 1], space=space, k=common.K
                ),
            }
            figures = common.interleaved(calls, rounds=rounds)
    over = {who: row["p50_ms"] - figures[FLOOR]["p50_ms"] for who, row in figures.items()}
    common.told(
        [
            {"who": who, **row, "over_floor_ms": over[who] if "search" in who.lower() else ""}
            for who, row in figures.items()
        ],
        options,
        targets=[
            common.at_most(
                f"{form}, ms over the floor (the bare application: {over[LEAST]:.2f})",
                over[f"POST /search, {form}"], bound,
            )
            for form, bound in (("JSON numbers", 0.30), ("raw float32", 0.25))
        ],
        gallery=f"{count} x {common.DIM}, Flat, k = {common.K}, one query at a time",
        rounds=rounds,
    )  # fmt: skip


def _calls(url: str, space: str, queries: common.Rows) -> dict[str, common.Call]:
    """The service asked in every form, and its `/healthz`."""
    packed = [{"dtype": "f32", "data": to_base64(query[None], dtype="f32")} for query in queries]
    host = url.partition("://")[2]
    return {
        "POST /search, JSON numbers": _asking(url, _of_json(url, space, _numbers(queries))),
        "POST /search, JSON base64": _asking(url, _of_json(url, space, packed)),
        "POST /search, raw float32": _asking(url, [raw_search(url, space, q) for q in queries]),
        "GET /healthz": _asking(
            url, [f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()] * len(queries)
        ),
    }


def _bare_calls(url: str, space: str, queries: common.Rows) -> dict[str, common.Call]:
    raw = [to_bytes(query[None], dtype="f32") for query in queries]
    asked = [http_request(url, bare.FAISS_PATH, kind=_OCTETS, body=body) for body in raw]
    return {
        "bare ASGI, JSON numbers only read": _asking(url, _of_json(url, space, _numbers(queries))),
        LEAST: _asking(url, asked),
    }


def _asking(url: str, requests: Sequence[bytes]) -> common.Call:
    wire = Wire(url)
    return lambda n: wire.ask(requests[n])


def _numbers(queries: common.Rows) -> list[list[list[float]]]:
    return [[query.tolist()] for query in queries]


def _of_json(url: str, space: str, vectors: Sequence[object]) -> list[bytes]:
    bodies = ({"space": space, "vectors": rows, "k": common.K} for rows in vectors)
    return [
        http_request(url, "/search", kind=_JSON, body=json.dumps(body).encode()) for body in bodies
    ]


if __name__ == "__main__":
    main()
