"""Loss, learning rate and the other measures of a training over its steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from lorgnette.text import visible
from training.pictures.metrics_file import Series
from training.pictures.style import INK, PALETTE, Picture, drawable, new_figure, png_of, styled

_PANELS = {
    "loss": "loss",
    "lr_factor": "learning rate, × its base",
    "grad_norm": "gradient norm",
    "views_per_s": "views per second",
    "val_map": "mAP on the validation photographs",
}
"""What the loop logs, in this order; fields it does not know follow, by name."""

_NOT_DRAWN = frozenset({"step", "epoch", "seconds"})
_EXACT = frozenset({"lr_factor"})
"""Without noise: nothing to smooth."""

_FALLING = frozenset({"loss", "grad_norm"})
_FEW_TIMES = 5
"""What falls by more than this shows its end only on a logarithmic axis."""

_MOST_PANELS = 8
_SMOOTHED_SHARE = 0.03
"""Width of the moving median, as a share of the points."""


def draw_curves(metrics: Mapping[str, Series]) -> Picture:
    """One panel a field, one below the other, sharing the axis of steps.

    Noisy fields are shown as they are, pale, with their moving median over 3 % of the points.
    """
    names = [name for name in _PANELS if name in metrics]
    names += sorted(name for name in metrics if name not in _PANELS and name not in _NOT_DRAWN)
    names = names[:_MOST_PANELS]
    with styled():
        figure = new_figure(9, 1.0 + 2.0 * len(names))
        panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=True):
            _draw_panel(axes, name, metrics[name])
        panels[-1].set_xlabel("step")
        png = png_of(figure)
    return Picture(
        name="curves",
        title="Training curves",
        caption="Each measure over the steps; bold: its moving median over 3 % of the points. "
        f"Logged: {visible(', '.join(names))}.",
        png=png,
    )


def _draw_panel(axes: Axes, name: str, series: Series) -> None:
    axes.set_title(drawable(_PANELS.get(name, name), most=60))
    axes.margins(x=0.01)
    values = np.array(series.values)
    if len(values) < 20:
        axes.plot(series.steps, values, color=PALETTE[0], marker="o", markersize=4)
    elif name in _EXACT:
        axes.plot(series.steps, values, color=PALETTE[0], linewidth=1.8)
    else:
        axes.plot(series.steps, values, color=PALETTE[4], alpha=0.5, linewidth=0.8)
        axes.plot(series.steps, moving_median(values), color=PALETTE[0], linewidth=1.8)
    if name in _FALLING and 0 < values.min() < values.max() / _FEW_TIMES:
        _make_logarithmic(axes)
    last = f"{values[-1]:.4g}"
    axes.set_title(f"last {last}", loc="right", color=INK, fontsize=9, fontweight="normal")


def _make_logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def moving_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each value's neighbourhood, shorter at both ends.  values: `[N]`, N >= 1."""
    reach = max(1, round(len(values) * _SMOOTHED_SHARE / 2))
    padded = np.concatenate([np.full(reach, np.nan), values, np.full(reach, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    medians: NDArray[np.float64] = np.nanmedian(windows, axis=1)
    return medians
