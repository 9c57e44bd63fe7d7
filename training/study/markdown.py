"""Figures and tables as Markdown: how the page of results writes them."""

from __future__ import annotations

from collections.abc import Sequence

from lorgnette.text import visible
from training.evaluation.ranking import ratio_text
from training.study.found import Spread

NOT_RUN = "not run"


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table.  left: so many columns are of text; the others are of figures."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    cells = [[cell_of(cell) for cell in line] for line in (head, *rows)]
    lines = [cells[0], rule, *cells[1:]]
    assert all(len(line) == len(head) for line in lines)
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def cell_of(text: str) -> str:
    """Text that ends neither its cell nor its line."""
    return visible(text.replace("\n", " ")).replace("|", "\\|")


def spread_text(found: Spread | None) -> str:
    """`17.7 ± 0.2`, one decimal; a dash where there is nothing."""
    if found is None:
        return "–"
    return f"{found.mean:.1f}" + ("" if found.deviation is None else f" ± {found.deviation:.1f}")


def figure_text(found: Spread | None, ratio: Spread | None) -> str:
    """`17.7 ± 0.2 (0.673)`: mAP in per cent, and how many times the teacher's."""
    return spread_text(found) + (f" ({ratio_text(ratio.mean)})" if found and ratio else "")


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def times(ratio: float) -> str:
    """A ratio to the teacher as prose has it: `1.18 of the teacher`."""
    return f"{ratio:.2f} of the teacher"


def signed(points: float) -> str:
    """Points of mAP with their sign: `+1.2`, `−0.3`."""
    return f"{points:+.1f}".replace("-", "−")
