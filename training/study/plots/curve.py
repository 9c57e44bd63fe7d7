"""The learning curve: how near to the teacher, against distinct teacher vectors and seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from training.pictures.style import PALETTE, Picture, drawable, new_figure, png_of, styled
from training.study.claims.levers import CURVE, WANTED
from training.study.found import ASYMMETRIC, Findings, FoundRow


def draw_curve(findings: Findings, *, name: str) -> Picture | None:
    """Two panels, a line for each set.  None without a row that was run."""
    table = findings.tables.get(CURVE)
    rows = [row for row in table.rows if row.done] if table else []
    if not table or not rows:
        return None
    trained = [row for row in rows if all(run.config.head is None for run, _ in row.done)]
    closed = [row for row in rows if row not in trained]
    with styled():
        figure = new_figure(10, 4.9)
        left, right = figure.subplots(1, 2, sharey=True)
        for on, colour in zip(table.sets, PALETTE, strict=False):
            _line(left, trained, on, _vectors, colour=colour, look="o-")
            _line(left, closed, on, _vectors, colour=colour, look="s--")
            _line(right, trained, on, _seconds, colour=colour, look="o-")
        left.set(xlabel="distinct teacher vectors", ylabel="mAP, times the teacher's")
        right.set(xlabel="seconds of training, one thread")
        for axes in (left, right):
            _make_logarithmic(axes)
            axes.axhline(WANTED, color=PALETTE[6], linewidth=1, linestyle=":")
        handles = [
            Line2D([], [], color=colour, marker="o", label=drawable(on, most=40))
            for on, colour in zip(table.sets, PALETTE, strict=False)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9)
        png = png_of(figure)
    return Picture(
        name=name,
        title="The learning curve",
        caption="Student → teacher, times teacher → teacher. Circles: regression from a random "
        "head; squares: the closed form alone, whose time is not that of steps. Dotted: the "
        f"target of {WANTED}.",
        png=png,
    )


def _vectors(row: FoundRow) -> float | None:
    return row.vectors


def _seconds(row: FoundRow) -> float | None:
    return row.seconds.mean if row.seconds else None


def _line(
    axes: Axes,
    rows: Sequence[FoundRow],
    on: str,
    place: Callable[[FoundRow], float | None],
    *,
    colour: str,
    look: str,
) -> None:
    points = sorted(
        (x, ratio.mean)
        for row in rows
        if (x := place(row)) and (ratio := row.ratio(ASYMMETRIC, on))
    )
    if points:
        axes.plot(*zip(*points, strict=True), look, color=colour, linewidth=1.6)


def _make_logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
