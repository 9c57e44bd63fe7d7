"""Precision over recall, of the three pairings of teacher and student."""

from __future__ import annotations

from collections.abc import Mapping

from training.pictures.retrieval import LEVELS, Retrieval
from training.pictures.style import PALETTE, Picture, new_figure, png_of, styled

_LINES = ("-", "--", "-.")


def draw_precision_recall(retrievals: Mapping[str, Retrieval]) -> Picture:
    """One line a pairing, by its name; also told apart by its dashes."""
    with styled():
        figure = new_figure(8.6, 4.9)
        axes = figure.subplots()
        styles = zip(retrievals.items(), (PALETTE[0], PALETTE[1], PALETTE[2]), _LINES, strict=True)
        for (name, found), colour, dashes in styles:
            label = f"{name}, mAP {100 * found.mean_ap:.1f} %"
            axes.plot(LEVELS, found.precision, color=colour, ls=dashes, linewidth=2, label=label)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.set_title("Precision and recall, query → gallery")
        figure.legend(loc="outside lower center", ncols=3, fontsize=9)
        png = png_of(figure)
    queries = len(next(iter(retrievals.values())).average_precisions)
    return Picture(
        name="precision_recall",
        title="Precision and recall",
        caption=f"Mean over {queries} queries of the interpolated precision: the best at any "
        "recall of at least this. The mAP beside it is not interpolated.",
        png=png,
    )
