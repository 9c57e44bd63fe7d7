"""Ranked galleries: a query at the left, what it found at the right, right or wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lorgnette.errors import InvalidImage
from lorgnette.image import read_image
from training.analyses.subject import Subject
from training.pictures.retrieval import Found, answerable, ranked
from training.pictures.style import (
    INK,
    MUTED,
    RIGHT,
    WRONG,
    Picture,
    bare,
    drawable,
    new_figure,
    png_of,
    styled,
)

QUERIES, RESULTS = 7, 8
_TILE_PX = 144
_MOUNT = "#F1EFEA"


def draw_ranked_galleries(subject: Subject, average_precisions: NDArray[np.float64]) -> Picture:
    """The student's queries in the teacher's gallery, from the worst to the best.

    average_precisions: `[Q]`, of the queries with something to find, as `retrieve` gives them: the
    queries shown lie evenly between their worst and their best, so the picture shows failures too.
    """
    found, scores = _examples(subject, average_precisions)
    with styled():
        figure = new_figure(1.25 * (RESULTS + 1.6), 1.72 * len(found.queries) + 0.5)
        widths = [1.25, 0.15, *[1.0] * RESULTS]
        grid = figure.subplots(len(found.queries), len(widths), squeeze=False, width_ratios=widths)
        for row, axes in enumerate(grid):
            _draw_row(list(axes), subject, found, row=row, score=float(scores[row]))
        figure.suptitle(
            "Student's queries in the teacher's gallery, worst to best",
            x=0.01,
            ha="left",
            fontweight="bold",
        )
        png = png_of(figure)
    return Picture(
        name="ranked_galleries",
        title="Ranked galleries",
        caption=f"{len(found.queries)} of {len(average_precisions)} queries, evenly from the "
        "lowest average precision (AP) to the highest, each with what it found, best first. "
        "Green and ✓: of the query's class; red, dashed and ✗: of another. The figure is the "
        "cosine.",
        png=png,
    )


def _examples(
    subject: Subject, average_precisions: NDArray[np.float64]
) -> tuple[Found, NDArray[np.float64]]:
    """The queries to show with their best results, and their AP."""
    rising = np.argsort(average_precisions, kind="stable")
    places = np.unique(np.linspace(0, len(rising) - 1, QUERIES).round().astype(np.int64))
    wanted = rising[places]
    chunks = list(ranked(subject, subject.student, subject.teacher, k=RESULTS))
    order = np.concatenate([chunk.order for chunk in chunks])
    relevant = np.concatenate([chunk.is_relevant for chunk in chunks])
    every = answerable(subject)
    return Found(every[wanted], order[wanted], relevant[wanted]), average_precisions[wanted]


def _draw_row(axes: list[Axes], subject: Subject, found: Found, *, row: int, score: float) -> None:
    query = int(subject.queries[found.queries[row]])
    _draw_tile(axes[0], subject.paths[query], colour=INK, dashes="-")
    axes[0].set_xlabel(drawable(subject.names[subject.labels[query]], most=18), fontsize=9)
    axes[0].set_title(f"AP {100 * score:.0f} %", loc="center", fontsize=9)
    axes[1].set_axis_off()
    places = axes[2:]
    for place, gallery_row in zip(places, found.order[row], strict=False):
        held = int(subject.gallery[gallery_row])
        cosine = float(subject.student[query] @ subject.teacher[held])
        is_right = bool(subject.labels[held] == subject.labels[query])
        colour, sign, dashes = (RIGHT, "✓", "-") if is_right else (WRONG, "✗", (0, (3, 1.5)))
        _draw_tile(place, subject.paths[held], colour=colour, dashes=dashes)
        place.set_title(f"{sign} {cosine:.2f}", loc="center", fontsize=9, color=colour)
        place.set_xlabel(drawable(subject.names[subject.labels[held]], most=15), fontsize=8)
    for place in places[found.order.shape[1] :]:
        place.set_axis_off()


def _draw_tile(
    axes: Axes, path: Path, *, colour: str, dashes: str | tuple[float, tuple[float, float]]
) -> None:
    bare(axes)
    try:
        photograph = Image.fromarray(read_image(path))
    except InvalidImage:
        axes.imshow(Image.new("RGB", (_TILE_PX, _TILE_PX), _MOUNT))
        axes.text(
            0.5, 0.5, "not readable\nany more", transform=axes.transAxes,
            ha="center", va="center", fontsize=7, color=MUTED,
        )  # fmt: skip
    else:
        axes.imshow(ImageOps.pad(photograph, (_TILE_PX, _TILE_PX), color=_MOUNT))
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=2.6, linestyle=dashes)
