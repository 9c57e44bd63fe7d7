"""What HTTP costs in Python at the least: an ASGI application under the server of the service.

It reads a request and answers with as many bytes as a search does; at `/faiss` it asks FAISS for
the raw float32 row of the body, in the event loop, and answers with what that gave, as bytes.
Nothing is checked, counted or logged.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.common import ROOT, K, Rows
from benchmarks.index import flat_of
from service.listening import bind, url_of
from service.server import new_event_loop

FAISS_PATH = "/faiss"
_ANSWER = b"." * 700


@contextmanager
def serving(folder: Path, rows: Rows) -> Iterator[str]:
    """The URL of the application in a process of its own, over an exact index of the rows."""
    np.save(folder / "rows.npy", rows)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare", str(folder / "rows.npy")],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        try:
            yield child.stdout.readline().strip()
        finally:
            child.terminate()


def application(index: faiss.IndexFlatIP) -> ASGIApp:
    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        answer = _ANSWER
        if scope["path"] == FAISS_PATH:
            scores, positions = index.search(np.frombuffer(body, np.float32)[None], K)
            answer = scores.tobytes() + positions.tobytes()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return answered


def main() -> None:
    """As a process of its own: `ROWS.npy`. Prints the URL and serves until SIGTERM."""
    config = uvicorn.Config(
        application(flat_of(np.load(sys.argv[1]))), lifespan="off", log_config=None,
        access_log=False, server_header=False, proxy_headers=False,
    )  # fmt: skip
    with bind("127.0.0.1", 0) as bound, asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(url_of(bound), flush=True)
        runner.run(uvicorn.Server(config).serve(sockets=[bound]))


if __name__ == "__main__":
    main()
