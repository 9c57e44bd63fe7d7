"""Whether the published gains of attention and of mixing are seen at this scale."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Final

from scipy.stats import spearmanr

from training.study.found import TEACHER, Findings, FoundRow, published_figures
from training.study.markdown import listed, signed

ATTENTION, MIXING = "6_attention", "7_metrix"
CLEAN: Final = "clean"
"""Rows of the table of mixing are named `LOSS-clean`, `LOSS-feature` and `LOSS-embedding`."""


def attention(findings: Findings) -> list[str]:
    """GLAM whole against its baseline, and against the order of its rows."""
    whole, baseline = (findings.row(ATTENTION, name) for name in ("global-local", "baseline"))
    if not whole or not baseline:
        return []
    published = _published_gain(whole, baseline)
    return [
        "**Attention (GLAM)** over no attention: "
        + _gains(whole, baseline)
        + (f"; published {signed(published)}." if published is not None else ".")
        + _order(findings)
    ]


def fine_tuning(findings: Findings) -> list[str]:
    """What labels give a teacher: on the products it learned, and on others."""
    before, after = (findings.row(ATTENTION, name) for name in ("before", "baseline"))
    if not before or not after:
        return []
    return [
        "**Training a teacher with labels** (ArcFace, 16 products) over its ImageNet features: "
        f"{_gains(after, before)}."
    ]


def mixing(findings: Findings) -> list[str]:
    """In how many rows mixing adds to its loss, and how much, beside the published gains."""
    pairs = _mixed_and_clean(findings)
    if not pairs:
        return []
    told = []
    for on in pairs[0][0].sets:
        gains = [gain for row, clean in pairs if (gain := _gain_on(row, clean, on))]
        seen = sum(one.is_seen and one.points > 0 for one in gains)
        mean = statistics.fmean(one.points for one in gains)
        told.append(f"{signed(mean)} on {on}, more than noise in {seen} of {len(gains)} rows")
    published = [g for row, clean in pairs if (g := _published_gain(row, clean)) is not None]
    theirs = f"; published {signed(statistics.fmean(published))}, in all rows" if published else ""
    return [f"**Mixing (Metrix)** over the clean loss, mean gain: {'; '.join(told)}{theirs}."]


def _mixed_and_clean(findings: Findings) -> list[tuple[FoundRow, FoundRow]]:
    """Each mixed row that was run, with the clean row of its loss."""
    table = findings.tables.get(MIXING)
    found = []
    for row in table.rows if table else ():
        stem, _, kind = row.spec.name.rpartition("-")
        clean = findings.row(MIXING, f"{stem}-{CLEAN}")
        if kind != CLEAN and row.done and clean:
            found.append((row, clean))
    return found


@dataclass(frozen=True)
class _Gain:
    """points: of mAP.  is_seen: more than two deviations of either row."""

    points: float
    is_seen: bool


def _gain_on(row: FoundRow, other: FoundRow, on: str) -> _Gain | None:
    own, base = row.mean_ap(TEACHER, on), other.mean_ap(TEACHER, on)
    if not own or not base:
        return None
    points = own.mean - base.mean
    return _Gain(points, abs(points) > 2 * max(own.deviation or 0.0, base.deviation or 0.0))


def _gains(row: FoundRow, other: FoundRow) -> str:
    """On each set; what is not more than noise says so."""
    told = []
    for on in row.sets:
        if gain := _gain_on(row, other, on):
            told.append(f"{signed(gain.points)} on {on}{'' if gain.is_seen else ' (noise)'}")
    return listed(told)


def _published_gain(row: FoundRow, other: FoundRow) -> float | None:
    own, base = _first_published(row), _first_published(other)
    return None if own is None or base is None else own - base


def _order(findings: Findings) -> str:
    """How far the published order of the rows is seen, as Spearman's correlation on each set."""
    table = findings.tables[ATTENTION]
    rows = [row for row in table.rows if row.done and _first_published(row) is not None]
    if len(rows) < 3:
        return ""
    told = []
    for on in table.sets:
        found = [row.mean_ap(TEACHER, on) for row in rows]
        if all(found):
            ours = [one.mean for one in found if one]
            theirs = [figure for row in rows if (figure := _first_published(row)) is not None]
            if len(set(ours)) > 1 and len(set(theirs)) > 1:
                rank = float(spearmanr(ours, theirs).statistic)
                told.append(f"{rank:.2f} on {on}".replace("-", "−"))
    if not told:
        return ""
    return (
        f" The rows' order against the published one, Spearman's ρ over {len(rows)} rows (1: the "
        f"same): {listed(told)}."
    )


def _first_published(row: FoundRow) -> float | None:
    figures = published_figures(row.spec.published)
    return figures[0] if figures else None
