"""Run every figure and write `docs/benchmarks.md` with its plots: what `make bench` does.

    .venv/bin/python benchmarks/run.py [--small] [--out docs]

Under 15 minutes on a quiet machine with two cores. The page says when the machine was shared, which
figures it lacks, and which targets were missed. A figure that fails or takes too long is told, and
the others go on; the command then ends with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, plots

ROOT = Path(__file__).resolve().parents[1]

FIGURES = {
    "index": "The index, by `auto` and by the usual libraries",
    "slope": "The cost of a query as the gallery grows",
    "search_latency": "`/search`, one query at a time",
    "search_throughput": "`/search`, 64 callers at once",
    "databases": "Beside Chroma and Qdrant's local mode",
    "start": "Starting the service",
    "student_speed": "The student's network",
    "runtimes": "The teacher's network, by runtime",
    "bulk_embedding": "Embedding 12-megapixel photographs",
}

_QUIET = 1.5
"""Load average that the figure of one thread stays below when nothing else runs."""

_MOST_S = 600
"""Seconds after which a figure is given up."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a minute or two, to see that it runs")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--only", nargs="*", choices=FIGURES, default=list(FIGURES))
    options = parser.parse_args()
    reports: dict[str, dict[str, Any]] = {}
    for name in options.only:
        print(f"{name}: {FIGURES[name]}", flush=True)
        try:
            reports[name] = report_of(name, small=options.small)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            print(f"{name} failed, the page lacks it: {error}", file=sys.stderr, flush=True)
    if not reports:
        sys.exit("no figure, so no page")
    options.out.mkdir(parents=True, exist_ok=True)
    drawn = plots.draw(reports, options.out)
    (options.out / "benchmarks.md").write_text(page(reports, drawn))
    (options.out / "benchmarks.json").write_text(json.dumps(reports, indent=2) + "\n")
    print(f"wrote {options.out / 'benchmarks.md'}")
    if len(reports) < len(options.only):
        sys.exit(1)


def report_of(name: str, *, small: bool) -> dict[str, Any]:
    """Run a figure. Raises `OSError`, `ValueError`, `SubprocessError` when it gives none."""
    with tempfile.TemporaryDirectory() as folder:
        file, started = Path(folder) / "report.json", time.perf_counter()
        command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--json", str(file)]
        # Its own children, services and databases among them, go with it.
        process = subprocess.Popen(command + ["--small"] * small, process_group=0)
        try:
            returned = process.wait(timeout=_MOST_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if returned:
            raise subprocess.CalledProcessError(returned, command)
        report: dict[str, Any] = json.loads(file.read_text())
        return report | {"took_s": round(time.perf_counter() - started)}


def page(reports: dict[str, dict[str, Any]], drawn: dict[str, str]) -> str:
    """The page. drawn: the plot of a figure, by its file's name."""
    parts = [
        "# Benchmarks\n",
        "Written by `make bench`; do not edit. One thread, ours and its peer or floor in turns in "
        "one run, medians. Read ratios: the milliseconds are of one machine on one day.\n",
        *_cautions(reports),
    ]
    for name, report in reports.items():
        parts += [f"## {FIGURES[name]}\n", _table(report["table"])]
        if report["targets"]:
            parts.append("Targets:\n\n" + "".join(f"- {line}\n" for line in report["targets"]))
        if name in drawn:
            parts.append(f"![{FIGURES[name]}]({drawn[name]})\n")
        told = ", ".join(
            f"{key} {value}"
            for key, value in report["conditions"].items()
            if key not in ("versions", "environment")
        )
        environment = " ".join(f"{k}={v}" for k, v in report["conditions"]["environment"].items())
        parts += [
            f"`benchmarks/{name}.py`, {report['took_s']} s. {told}. {environment}.\n",
        ]
    versions = {k: v for r in reports.values() for k, v in r["conditions"]["versions"].items()}
    parts.append("Versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".\n")
    return "\n".join(parts)


def _cautions(reports: dict[str, dict[str, Any]]) -> list[str]:
    """What a reader must know first: figures that are lacking, and a machine that was shared."""
    cautions = []
    if len(reports) < len(FIGURES):
        cautions.append(
            f"**{len(reports)} of {len(FIGURES)} figures** (`run.py --only {' '.join(reports)}`): "
            "`make bench` writes the whole page.\n"
        )
    load = min(report["conditions"]["load_average"] for report in reports.values())
    if load > _QUIET:
        cautions.append(
            f"**The machine was shared**: its load average was {load:.1f} or more, and a figure of "
            "one thread brings it to 1. So the milliseconds, the floors' too, are longer than this "
            "machine needs.\n"
        )
    return cautions


def _table(table: common.Table) -> str:
    head, *rows = ["| " + " | ".join(cells) + " |" for cells in common.lines_of(table)]
    rule = "|" + "---|" * len(common.lines_of(table)[0])
    return "\n".join([head, rule, *rows]) + "\n"


if __name__ == "__main__":
    main()
