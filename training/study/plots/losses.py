"""What each loss makes of a student: at home in its teacher's space, and in its own."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from training.pictures.style import (
    INK,
    MUTED,
    PALETTE,
    Picture,
    drawable,
    new_figure,
    png_of,
    styled,
)
from training.study.claims.losses import LOSSES, STARTED
from training.study.found import ASYMMETRIC, SYMMETRIC, Findings, FoundRow, FoundTable

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_UNTRAINED = ("*", MUTED)
"""A row of the second table alone: the closed form, before any loss."""


def draw_losses(findings: Findings, *, name: str) -> Picture | None:
    """A panel a set: mAP of the student's queries to the teacher's gallery, and to its own.

    None without a row that was run.
    """
    random, started = findings.tables.get(LOSSES), findings.tables.get(STARTED)
    sets = random.sets if random else ()
    if not random or not sets:
        return None
    looks = _looks(random)
    with styled():
        figure = new_figure(4.2 * len(sets), 5.4)
        for axes, on in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
            _draw_set(axes, random, on, looks, is_filled=True)
            if started is not None:
                _draw_set(axes, started, on, looks, is_filled=False)
            _draw_lines(axes, random, on)
            axes.set_title(drawable(on, most=40), fontsize=10)
            axes.set(xlabel="student → teacher, mAP", ylabel="student → student, mAP")
        _legend(figure, random.rows, looks)
        png = png_of(figure)
    return Picture(
        name=name,
        title="Losses: asymmetric against symmetric",
        caption="Each loss on each set: filled from a random head, hollow from a head in closed "
        "form. Lines: the teacher's own mAP, and that of the student trained alone. Right of the "
        "teacher's line a light query finds more than a heavy one.",
        png=png,
    )


Looks = dict[str, tuple[str, str]]
"""Marker and colour, by the name of the row."""


def _looks(table: FoundTable) -> Looks:
    return {
        row.spec.name: (_MARKERS[n % len(_MARKERS)], PALETTE[n % len(PALETTE)])
        for n, row in enumerate(table.rows)
    }


def _draw_set(axes: Axes, table: FoundTable, on: str, looks: Looks, *, is_filled: bool) -> None:
    for row in table.rows:
        x, y = row.mean_ap(ASYMMETRIC, on), row.mean_ap(SYMMETRIC, on)
        if x is None or y is None:
            continue
        marker, colour = looks.get(row.spec.name, _UNTRAINED)
        axes.errorbar(
            x.mean, y.mean, xerr=x.deviation, yerr=y.deviation, fmt=marker, color=colour,
            markersize=7, markerfacecolor=colour if is_filled else "white", linewidth=1,
        )  # fmt: skip


def _draw_lines(axes: Axes, table: FoundTable, on: str) -> None:
    for lines in table.teachers.values():
        axes.axvline(100 * lines[on], color=INK, linewidth=1, linestyle="--")
        axes.axhline(100 * lines[on], color=INK, linewidth=1, linestyle="--")
    alone = table.row("alone")
    if alone and (found := alone.mean_ap(SYMMETRIC, on)):
        axes.axhline(found.mean, color=MUTED, linewidth=1, linestyle=":")


def _legend(figure: Figure, rows: Sequence[FoundRow], looks: Looks) -> None:
    handles = [
        Line2D([], [], marker=looks[row.spec.name][0], color=looks[row.spec.name][1],
               linestyle="", markersize=7, label=drawable(row.spec.label, most=30))
        for row in rows
        if row.done and any(row.mean_ap(ASYMMETRIC, on) for on in row.sets)
    ]  # fmt: skip
    handles.append(
        Line2D([], [], marker=_UNTRAINED[0], color=_UNTRAINED[1], linestyle="", markersize=9,
               markerfacecolor="white", label="closed form alone")
    )  # fmt: skip
    handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=1, label="teacher"))
    handles.append(Line2D([], [], color=MUTED, linestyle=":", linewidth=1, label="student alone"))
    figure.legend(handles=handles, loc="outside lower center", ncols=8, fontsize=9)
