"""How every picture looks, and how its text and its bytes stay safe and equal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

FONT = "DejaVu Sans"
"""Comes with matplotlib: the same picture on every machine."""

PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#22252A",
    "#8A6D3B",
)
"""Distinct with every common colour blindness.  Okabe and Ito, 2008; brown for their yellow."""

INK, MUTED, GRID = "#22252A", "#6B7078", "#E3E1DB"
RIGHT, WRONG = "#009E73", "#D55E00"
"""A green and a red that are also told apart without colour: always beside a ✓ or a ✗."""

_DPI = 120


@dataclass(frozen=True)
class Picture:
    """name: of the file, without ending.  title, caption: plain text.  png: the file's bytes."""

    name: str
    title: str
    caption: str
    png: bytes


@contextmanager
def styled() -> Iterator[None]:
    """Within the block matplotlib draws as all pictures here, whatever the user's own settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "font.family": FONT,
                "font.size": 10,
                # A file name may hold a dollar; it is no formula.
                "text.parse_math": False,
                "text.color": INK,
                "axes.titlesize": 12,
                "axes.titlelocation": "left",
                "axes.titleweight": "bold",
                "axes.edgecolor": MUTED,
                "axes.labelcolor": INK,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.grid": True,
                "axes.axisbelow": True,
                "grid.color": GRID,
                "xtick.color": MUTED,
                "ytick.color": MUTED,
                "legend.frameon": False,
            }
        )
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that needs no display and no global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: Figure) -> bytes:
    """The figure as PNG: equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def bare(axes: Axes) -> None:
    """No ticks, no grid, no frame: for pictures whose coordinates mean nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def drawable(text: str, *, most: int = 24) -> str:
    """The text as the font can draw it: unknown letters become �, the middle of long text …."""
    known = "".join(letter if _has_glyph(letter) else "�" for letter in text)
    if len(known) <= most:
        return known
    kept = most - 1
    return f"{known[: kept - kept // 2]}…{known[len(known) - kept // 2 :]}"


@cache
def _has_glyph(letter: str) -> bool:
    font = font_manager.get_font(font_manager.findfont(FONT))
    return letter.isprintable() and bool(font.get_char_index(ord(letter)))
