"""The plots of `docs/benchmarks.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw(reports: dict[str, dict[str, Any]], out: Path) -> dict[str, str]:
    """Write the plots there are figures for. Returns their files' names by figure."""
    drawn = {}
    for name, plot in {"index": _index, "slope": _slope, "search_latency": _bars}.items():
        if name in reports:
            figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
            plot(axes, reports[name]["table"])
            drawn[name] = f"benchmarks_{name}.png"
            figure.savefig(out / drawn[name], dpi=110)
            plt.close(figure)
    return drawn


def _index(axes: Any, table: list[dict[str, Any]]) -> None:
    for row in table:
        axes.scatter(row["recall"], row["x_flat"], s=30 + 150 * row["memory"])
        axes.annotate(f"{row['who']}\n{row['count']:,}", (row["recall"], row["x_flat"]), fontsize=7)
    axes.set(
        xlabel="recall@10", ylabel="× the speed of exact search", yscale="log",
        title="area: memory beside exact search's",
    )  # fmt: skip


def _slope(axes: Any, table: list[dict[str, Any]]) -> None:
    counts = [row["count"] for row in table]
    for name, who in (("p50_ms", "auto"), ("flat_p50_ms", "exact")):
        axes.plot(counts, [row[name] for row in table], marker="o", label=who)
    axes.set(xlabel="items", ylabel="ms a query (p50)", xscale="log", yscale="log")
    axes.legend()


def _bars(axes: Any, table: list[dict[str, Any]]) -> None:
    axes.barh([row["who"] for row in table], [row["p50_ms"] for row in table])
    axes.invert_yaxis()
    axes.set(xlabel="ms (p50)")
