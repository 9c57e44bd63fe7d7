"""How soon the service answers, beside `import torch`; what a mapped index adds to a process.

    .venv/bin/python benchmarks/start.py [--small] [--json FILE]

Whole processes, one after the other in turns, warm caches. `service` is from exec to the first
answered request, over a gallery of 1,000. The index is mapped by a process of its own, which tells
the time and the growth of its private memory.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx

from benchmarks import common, serving
from service.gallery import faiss_index

_MAP = """
import sys, time, json
from pathlib import Path
from service.gallery import faiss_index
def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1000
before, started = private(), time.perf_counter()
index = faiss_index.read(Path(sys.argv[1]))
print(json.dumps({"ms": 1000 * (time.perf_counter() - started), "mb": private() - before}))
"""


def main() -> None:
    options = common.options_of(__doc__)
    rounds, count = (1, 2_000) if options.small else (7, 1_000_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        serving.filled(folder, common.clustered(1_000), factory="Flat")
        starts: dict[str, Callable[[], object]] = {
            "python": lambda: _run("pass"),
            "the service, ready": lambda: _answered(folder),
            "import torch": lambda: _run("import torch"),
        }
        if find_spec("torch") is None:
            del starts["import torch"]
        times: dict[str, list[float]] = {who: [] for who in starts}
        for _ in range(rounds):
            for who, start in starts.items():
                began = time.perf_counter()
                start()
                times[who].append(1000 * (time.perf_counter() - began))
        middle = {who: statistics.median(values) for who, values in times.items()}
        table: common.Table = [{"who": who, "p50_ms": p50} for who, p50 in middle.items()]
        targets: list[str] = []
        if "import torch" in middle:
            ratio = middle["the service, ready"] / middle["import torch"]
            table.append({"who": "the service / import torch", "ratio": ratio})
            targets = [common.at_most("the service / import torch", ratio, 0.4)]
        table.append(mapped := _mapped(folder, count, rounds=rounds))
    targets += [
        common.at_most("ms a mapped index takes", mapped["p50_ms"], 5),
        common.at_most("MB of private memory it adds", mapped["private_mb"], 5),
    ]
    common.told(table, options, targets=targets, rounds=rounds, gallery="1,000 x 512, Flat")


def _run(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True, stdout=subprocess.PIPE, text=True, cwd=common.ROOT,
    ).stdout  # fmt: skip


def _answered(folder: Path) -> None:
    with serving.serving(folder) as served:
        httpx.get(f"{served.url}/readyz").raise_for_status()


def _mapped(folder: Path, count: int, *, rounds: int) -> dict[str, Any]:
    rows = common.clustered(count)
    faiss_index.build(rows, factory="SQ8").write(folder / "index.faiss")
    del rows
    found = [json.loads(_run(_MAP, str(folder / "index.faiss"))) for _ in range(rounds)]
    return {
        "who": f"mapping SQ8 of {count} x 512",
        "p50_ms": statistics.median(one["ms"] for one in found),
        "private_mb": statistics.median(one["mb"] for one in found),
    }


if __name__ == "__main__":
    main()
