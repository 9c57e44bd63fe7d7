"""Pictures of the analyses: positivity by λ, and the geometry of both embeddings."""

from __future__ import annotations

from matplotlib.axes import Axes

from training.analyses.study import Geometry, Positivity
from training.losses.pair import MultiSimilarity
from training.pictures.style import INK, PALETTE, Picture, new_figure, png_of, styled


def draw_positivity(positivity: Positivity, loss: MultiSimilarity) -> Picture:
    """Measured against the closed form, and among all pairs of an anchor, over λ."""
    with styled():
        figure = new_figure(8.6, 4.9)
        axes = figure.subplots()
        axes.plot(
            positivity.shares, positivity.predicted, color=INK, linewidth=1.6,
            label="closed form, another draw",
        )  # fmt: skip
        axes.plot(
            positivity.shares, positivity.alone, color=PALETTE[0], marker="o", linestyle="",
            label="measured, one mixed pair",
        )  # fmt: skip
        axes.plot(
            positivity.shares, positivity.together, color=PALETTE[5], marker="s", markersize=4,
            linestyle="--", linewidth=1.2, label="measured, all mixed pairs",
        )  # fmt: skip
        axes.set(xlabel="λ, the positive's share", ylabel="positivity", xlim=(0, 1))
        axes.set_ylim(-0.03, 1.03)
        axes.set_title("How often a mixed embedding is pulled")
        figure.legend(loc="outside lower center", ncols=3, fontsize=9)
        png = png_of(figure)
    return Picture(
        name="positivity",
        title="Positivity of mixed embeddings",
        caption="Share of mixed embeddings that multi-similarity "
        f"(α {loss.alpha:g}, β {loss.beta:g}, m {loss.base:g}) pulls towards the anchor. One pair "
        "alone follows P(s ≤ m + ln(λ/(1 − λ))/(α + β)); among all of an anchor's pairs it need "
        "not.",
        png=png,
    )


def draw_geometry(geometry: Geometry) -> Picture:
    """Alignment and uniformity in one plane, and utilisation without and with mixing."""
    with styled():
        figure = new_figure(8.6, 3.9)
        plane, bars = figure.subplots(1, 2, width_ratios=[1.6, 1], gridspec_kw={"wspace": 0.06})
        _draw_plane(plane, geometry)
        _draw_utilisation(bars, geometry)
        png = png_of(figure)
    return Picture(
        name="geometry",
        title="Alignment, uniformity, utilisation",
        caption="Alignment: mean squared distance of two photographs of a class. Uniformity: log "
        "mean potential of all pairs; lower is more even. Utilisation: mean squared distance of a "
        "query to the nearest embedding of the gallery, without and with mixed ones.",
        png=png,
    )


def _draw_plane(axes: Axes, geometry: Geometry) -> None:
    points = {
        "teacher": (geometry.uniformity_teacher, geometry.alignment_teacher, "o", PALETTE[0]),
        "student": (geometry.uniformity_student, geometry.alignment_student, "^", PALETTE[1]),
    }
    for name, (x, y, marker, colour) in points.items():
        axes.plot(x, y, marker=marker, color=colour, markersize=9, linestyle="", label=name)
    axes.axhline(
        geometry.alignment_crossed, color=PALETTE[2], linestyle="--", label="student to teacher"
    )
    axes.margins(0.35)
    axes.locator_params(axis="x", nbins=5)
    axes.set(xlabel="uniformity (← more even)", ylabel="alignment (↓ tighter classes)")
    axes.set_title("Alignment and uniformity")
    axes.legend(loc="best", fontsize=9)


def _draw_utilisation(axes: Axes, geometry: Geometry) -> None:
    values = [geometry.utilisation, geometry.utilisation_mixed]
    bars = axes.bar(["gallery", "gallery\nand mixed"], values, color=[PALETTE[0], PALETTE[4]])
    axes.bar_label(bars, fmt="%.3f", padding=2)
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.15)
    axes.set(ylabel="utilisation (↓ more is used)")
    axes.set_title("Utilisation")
