"""How soon the service answers, beside `import torch`; what a mapped index adds to a process.

    .venv/bin/python benchmarks/start.py [--small] [--json FILE]

Whole processes, one after the other in turns, with warm caches and compiled modules: a first round
is not counted. `service` is from exec to the first answered request, over a gallery of 1,000.
`cpu_ms` is the processor time it took, whoever else is on the machine. The index is mapped by a
process of its own, which tells the time and the growth of its private memory.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

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


class Start(NamedTuple):
    """Milliseconds until it was there, and of processor time."""

    p50_ms: float
    cpu_ms: float


def main() -> None:
    options = common.options_of(__doc__)
    rounds, count = (1, 2_000) if options.small else (7, 1_000_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        serving.filled(folder, common.clustered(1_000), factory="Flat")
        starts: dict[str, Callable[[], Start]] = {
            "python": lambda: _ran("pass"),
            "the service, ready": lambda: _answered(folder),
            "import torch": lambda: _ran("import torch"),
        }
        if find_spec("torch") is None:
            del starts["import torch"]
        taken = [{who: start() for who, start in starts.items()} for _ in range(rounds + 1)]
        middle = {
            who: Start(*map(statistics.median, zip(*(one[who] for one in taken[1:]), strict=True)))
            for who in starts
        }
        table: common.Table = [{"who": who, **start._asdict()} for who, start in middle.items()]
        targets: list[str] = []
        if "import torch" in middle:
            ours, torch = middle["the service, ready"], middle["import torch"]
            ratio, by_cpu = ours.p50_ms / torch.p50_ms, ours.cpu_ms / torch.cpu_ms
            table.append({"who": "the service / import torch", "ratio": ratio, "cpu_ratio": by_cpu})
            targets = [
                common.at_most(
                    f"the service / import torch (by processor time {by_cpu:.2f})", ratio, 0.4
                )
            ]
        table.append(mapped := _mapped(folder, count, rounds=rounds))
    targets += [
        common.at_most("ms a mapped index takes", mapped["p50_ms"], 5),
        common.at_most("MB of private memory it adds", mapped["private_mb"], 5),
    ]
    common.told(table, options, targets=targets, rounds=rounds, gallery="1,000 x 512, Flat")


def _ran(code: str) -> Start:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _run(code)
    took_ms = 1000 * (time.perf_counter() - began)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Start(took_ms, 1000 * spent_s)


def _answered(folder: Path) -> Start:
    began = time.perf_counter()
    with serving.serving(folder) as served:
        httpx.get(f"{served.url}/readyz").raise_for_status()
        return Start(1000 * (time.perf_counter() - began), 1000 * served.processor_s())


def _run(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True, stdout=subprocess.PIPE, text=True, cwd=common.ROOT,
    ).stdout  # fmt: skip


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
