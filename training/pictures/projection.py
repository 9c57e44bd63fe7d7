"""t-SNE of what teacher and student say of the same photographs, in one plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from lorgnette.errors import InvalidConfiguration
from training.analyses.subject import Subject
from training.pictures.style import (
    INK,
    PALETTE,
    Picture,
    bare,
    drawable,
    new_figure,
    png_of,
    styled,
)

_MOST_PER_CLASS = 40
"""Photographs of a class, drawn at random: 8 classes of 40 are 640 points, some seconds."""


@dataclass(frozen=True)
class Projection:
    """teacher, student: float64 `[N, 2]`, the same N photographs.  labels: `[N]`, in `names`."""

    teacher: NDArray[np.float64]
    student: NDArray[np.float64]
    labels: NDArray[np.int64]
    names: tuple[str, ...]


def project(subject: Subject, *, perplexity: float, seed: int) -> Projection:
    """Both embeddings of the chosen photographs, projected together.

    Chosen are the classes with most photographs, as many as the palette has colours.
    van der Maaten and Hinton, JMLR 2008; scikit-learn's, started from a PCA.
    Raises `InvalidConfiguration` when there are not more points than the perplexity.
    """
    chosen, names = _chosen(subject, seed=seed)
    rows = np.concatenate([subject.teacher[chosen], subject.student[chosen]]).astype(np.float64)
    if len(rows) <= perplexity:
        raise InvalidConfiguration(
            f"t-SNE with perplexity {perplexity:g} needs more than {perplexity:g} points, found "
            f"{len(rows)} ({len(chosen)} photographs, each embedded twice): give --perplexity "
            f"{max(1, len(rows) // 3)} or more photographs"
        )
    plane = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(rows)
    found = np.searchsorted(names, subject.labels[chosen])
    return Projection(
        teacher=plane[: len(chosen)].astype(np.float64),
        student=plane[len(chosen) :].astype(np.float64),
        labels=found.astype(np.int64),
        names=tuple(subject.names[name] for name in names),
    )


def draw_projection(subject: Subject, *, perplexity: float, seed: int) -> Picture:
    """Circles: the teacher; triangles: the student; a line joins the two of one photograph."""
    projection = project(subject, perplexity=perplexity, seed=seed)
    with styled():
        figure = new_figure(9, 6.6)
        axes = figure.subplots()
        _draw_points(axes, projection)
        bare(axes)
        axes.set_title("t-SNE of teacher and student, together")
        figure.legend(handles=_legend(projection), loc="outside right upper")
        png = png_of(figure)
    shown, held = len(projection.names), len(subject.names)
    return Picture(
        name="tsne",
        title="Teacher and student in one plane",
        caption=f"t-SNE (perplexity {perplexity:g}, seed {seed}) of both embeddings of "
        f"{len(projection.labels)} photographs of {shown} of {held} classes. A line joins the two "
        "embeddings of one photograph: short lines mean that the student speaks the teacher's "
        "space. Distances between far groups mean nothing.",
        png=png,
    )


def _chosen(subject: Subject, *, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The photographs, and their labels once each, rising."""
    counts = np.bincount(subject.labels, minlength=len(subject.names))
    names = np.sort(np.argsort(-counts, kind="stable")[: len(PALETTE)]).astype(np.int64)
    random = np.random.default_rng(seed)
    rows = [
        random.permutation(np.flatnonzero(subject.labels == name))[:_MOST_PER_CLASS]
        for name in names
    ]
    return np.concatenate(rows).astype(np.int64), names


def _draw_points(axes: Axes, projection: Projection) -> None:
    pairs = np.stack([projection.teacher, projection.student], axis=1)
    for label in range(len(projection.names)):
        mine, colour = projection.labels == label, PALETTE[label]
        for line in pairs[mine]:
            axes.plot(*line.T, color=colour, alpha=0.18, linewidth=0.7, zorder=1)
        x, y = projection.teacher[mine].T
        axes.scatter(x, y, s=30, color=colour, edgecolor="white", linewidth=0.5)
        x, y = projection.student[mine].T
        axes.scatter(x, y, s=30, marker="^", facecolor="white", edgecolor=colour)


def _legend(projection: Projection) -> list[Line2D]:
    shapes = [
        Line2D([], [], marker="o", color=INK, linestyle="", label="teacher (gallery)"),
        Line2D([], [], marker="^", color=INK, mfc="white", linestyle="", label="student (query)"),
        Line2D([], [], linestyle="", label=" "),
    ]
    colours = [
        Line2D([], [], marker="s", color=colour, linestyle="", label=drawable(name))
        for name, colour in zip(projection.names, PALETTE, strict=False)
    ]
    return shapes + colours
