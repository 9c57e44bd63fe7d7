"""What the benchmarks share: data, interleaved timing, conditions, the JSON they write."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

Rows = NDArray[np.float32]
Table = list[dict[str, Any]]
K, DIM = 10, 512

_CENTRES, _LATENT = 20_000, 64
_PACKAGES = (
    "faiss-cpu", "numpy", "fastapi", "uvicorn", "httpx", "onnxruntime", "torch",
    "openvino", "hnswlib", "usearch", "chromadb", "qdrant-client",
)  # fmt: skip
_ENVIRONMENT = (
    "OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "OMP_WAIT_POLICY",
    "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD",
)  # fmt: skip


def unit(rows: Rows) -> Rows:
    scaled: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def clustered(count: int, *, dim: int = DIM, seed: int = 1) -> Rows:
    """Unit rows about 20,000 centres in 64 dimensions, laid into `dim`: as descriptors are, which
    are many views of fewer things and fill few of their dimensions.

    Another seed draws other rows about the same centres: queries.
    """
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres = fixed.standard_normal((_CENTRES, _LATENT), np.float32)
    basis = fixed.standard_normal((_LATENT, dim), np.float32) / np.float32(np.sqrt(_LATENT))
    rows = np.empty((count, dim), np.float32)
    for start in range(0, count, 50_000):
        part = rows[start : start + 50_000]
        latent = centres[rng.integers(0, _CENTRES, len(part))]
        latent = latent + np.float32(0.5) * rng.standard_normal(latent.shape, np.float32)
        noise = rng.standard_normal(part.shape, np.float32)
        part[:] = unit(latent @ basis + np.float32(0.15) * noise)
    return rows


def exact(rows: Rows, queries: Rows, *, k: int = K) -> NDArray[np.int64]:
    """The k nearest by numpy alone, a block at a time: the oracle of every recall here."""
    scores = np.full((len(queries), k), -np.inf, np.float32)
    found = np.zeros((len(queries), k), np.int64)
    for start in range(0, len(rows), 50_000):
        block = queries @ rows[start : start + 50_000].T
        both = np.concatenate([scores, block], axis=1)
        numbers = np.concatenate(
            [found, np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)], axis=1
        )
        best = np.argpartition(-both, k - 1, axis=1)[:, :k]
        scores, found = (np.take_along_axis(x, best, axis=1) for x in (both, numbers))
    return found


def recall(found: Sequence[Sequence[int]] | NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    shared = [len(set(a) & set(b)) for a, b in zip(found, truth.tolist(), strict=True)]
    return sum(shared) / truth.size


def centred(rows: Rows, others: Rows) -> Rows:
    """Cosine `[N]` of rows with others, about the mean of the others.

    A plain cosine says little where all rows share a direction, as embeddings do.
    """
    mean = others.mean(axis=0)
    cosines: Rows = (unit(rows - mean) * unit(others - mean)).sum(axis=1)
    return cosines


Call = Callable[[int], Any]


def interleaved(calls: Mapping[str, Call], *, rounds: int) -> dict[str, dict[str, float]]:
    """p50 and p99 of each call in milliseconds; they take turns, so that a drifting machine
    treats them alike. A call gets the number of its round. The first tenth is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for n in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call(n)
            times[name].append(1000 * (time.perf_counter() - started))
    counted = {name: sorted(values[len(values) // 10 :]) for name, values in times.items()}
    return {
        name: {
            "p50_ms": statistics.median(values),
            "p99_ms": values[min(len(values) - 1, int(0.99 * len(values)))],
        }
        for name, values in counted.items()
    }


def conditions(**settings: object) -> dict[str, object]:
    return {
        "machine": _processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "environment": {name: os.environ.get(name, "unset") for name in _ENVIRONMENT},
        **settings,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def options_of(
    description: str | None, *more: Callable[[argparse.ArgumentParser], None]
) -> argparse.Namespace:
    """`--small`, `--json` and `more`, and the one thread everything here is measured with."""
    if os.environ.get("OMP_NUM_THREADS") != "1" or "PYTHONDONTWRITEBYTECODE" in os.environ:
        # It is read when FAISS, torch and BLAS are loaded: too late to set it here.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        # Installed libraries are compiled: ours must not be compiled anew by each process.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="seconds, to see that it runs")
    parser.add_argument("--json", type=Path, help="write the figures and their conditions there")
    for add in more:
        add(parser)
    return parser.parse_args()


def at_most(what: str, found: float, bound: float) -> str:
    """The line of a target that is an upper bound."""
    return f"{what}: at most {bound:g}, found {found:.4g}{'' if found <= bound else ', **missed**'}"


def at_least(what: str, found: float, bound: float) -> str:
    """The line of a target that is a lower bound."""
    return (
        f"{what}: at least {bound:g}, found {found:.4g}{'' if found >= bound else ', **missed**'}"
    )


def told(
    table: Table, options: argparse.Namespace, *, targets: Sequence[str] = (), **settings: object
) -> None:
    """Print the table and how its targets fared, and write them beside their conditions."""
    lines = lines_of(table)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    print(*targets, sep="\n", end="\n" * bool(targets))
    if options.json:
        found = conditions(is_small=options.small, **settings)
        report = {"table": table, "targets": targets, "conditions": found}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def lines_of(table: Table) -> list[list[str]]:
    """The names of a table's columns, then its rows, as text."""
    columns = list(dict.fromkeys(name for row in table for name in row))
    return [columns, *([_cell(row.get(name, "")) for name in columns] for row in table)]


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
