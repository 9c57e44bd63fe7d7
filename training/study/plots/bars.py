"""Bars: what a lever gains, and what a teacher's rows reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from training.pictures.style import INK, PALETTE, Picture, drawable, new_figure, png_of, styled
from training.study.claims.levers import BASE, LEVERS, gain_on
from training.study.found import TEACHER, Findings, Spread


@dataclass(frozen=True)
class Bars:
    """labels: of N groups, from the top.  values: of each set, N; None: not measured."""

    labels: tuple[str, ...]
    values: dict[str, tuple[Spread | None, ...]]


def draw_levers(findings: Findings, *, name: str) -> Picture | None:
    """Points of asymmetric mAP over the base row.  None without the base and another row."""
    table, base = findings.tables.get(LEVERS), findings.row(LEVERS, BASE)
    rows = [row for row in table.rows if row.done and row is not base] if table else []
    if not table or not base or not rows:
        return None
    bars = Bars(
        tuple(row.spec.label for row in rows),
        {on: tuple(_point(gain_on(row, base, on)) for row in rows) for on in table.sets},
    )
    return Picture(
        name=name,
        title="Levers of training",
        caption=f"Student → teacher: points of mAP over “{base.spec.label}”.",
        png=_drawn(bars, title="Levers of training", unit="points of mAP"),
    )


def draw_asking(findings: Findings, *, name: str) -> Picture | None:
    """mAP of every way to ask, times the teacher's.  None if it was not measured."""
    queries, teacher = findings.queries, findings.lever("teacher")
    if not queries or not teacher:
        return None
    bars = Bars(
        tuple(lever.label for lever in queries.levers),
        {
            on: tuple(
                _point(found.mean_ap / teacher.sets[on].mean_ap if found else None)
                for found in (lever.sets.get(on) for lever in queries.levers)
            )
            for on in queries.sets
            if on in teacher.sets
        },
    )
    return Picture(
        name=name,
        title="Ways to ask",
        caption="mAP of each way to ask, times that of the teacher's own queries (the line).",
        png=_drawn(bars, title="Ways to ask", unit="mAP, times the teacher's", line=1.0),
    )


def draw_teachers(findings: Findings, table: str, *, name: str) -> Picture | None:
    """mAP of models that made their own space; published figures beside their names."""
    found = findings.tables.get(table)
    rows = [row for row in found.rows if row.done] if found else []
    if not found or not rows:
        return None
    labels = tuple(
        row.spec.label + (f" [{row.spec.published}]" if row.spec.published else "") for row in rows
    )
    bars = Bars(labels, {on: tuple(row.mean_ap(TEACHER, on) for row in rows) for on in found.sets})
    return Picture(
        name=name,
        title=found.table.spec.title,
        caption="mAP, mean over the seeds, and its deviation. In brackets: the published figures "
        "of the row, of other photographs.",
        png=_drawn(bars, title=found.table.spec.title, unit="mAP"),
    )


def _point(value: float | None) -> Spread | None:
    return None if value is None else Spread(value, None, 1)


def _drawn(bars: Bars, *, title: str, unit: str, line: float = 0.0) -> bytes:
    sets, groups = list(bars.values), len(bars.labels)
    height = 0.8 / len(sets)
    with styled():
        figure = new_figure(9, 1.4 + 0.2 * groups * (len(sets) + 0.8))
        axes = figure.subplots()
        for number, (on, colour) in enumerate(zip(sets, PALETTE, strict=False)):
            offset = (number - (len(sets) - 1) / 2) * height
            _draw_set(axes, bars.values[on], offset, height=height, colour=colour, on=on)
        axes.set_yticks(range(groups), [drawable(label, most=60) for label in bars.labels])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(y=0.01)
        axes.axvline(line, color=INK, linewidth=1)
        axes.set(xlabel=unit, title=title)
        figure.legend(loc="outside lower center", ncols=len(sets), fontsize=9)
        return png_of(figure)


def _draw_set(
    axes: Axes,
    values: Sequence[Spread | None],
    offset: float,
    *,
    height: float,
    colour: str,
    on: str,
) -> None:
    known = [(place, value) for place, value in enumerate(values) if value]
    axes.barh(
        [place + offset for place, _ in known],
        [value.mean for _, value in known],
        height=height,
        color=colour,
        label=drawable(on, most=40),
        xerr=[np.nan if value.deviation is None else value.deviation for _, value in known],
        error_kw={"ecolor": INK, "elinewidth": 0.8},
    )
