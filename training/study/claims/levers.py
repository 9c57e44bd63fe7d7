"""Which levers of training help, and what more data would bring."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from training.study.found import ASYMMETRIC, Findings, FoundRow
from training.study.markdown import listed, signed

LEVERS, BASE = "4_levers", "crops-closed-form"
CURVE = "5_curve"
WANTED = 0.97
"""Of the teacher: the target on things of no category that was learned from."""

_NOISE_POINTS = 0.5
"""Of mAP: taken where the base row has one seed."""

_MOST_DOUBLINGS = 6
"""Beyond, a line through a few points says nothing."""


@dataclass(frozen=True)
class Gain:
    """points: of asymmetric mAP over the base row, mean of the sets."""

    row: FoundRow
    points: float


def gains(findings: Findings) -> list[Gain]:
    """Of every other row of the table, the greatest first."""
    base, table = findings.row(LEVERS, BASE), findings.tables.get(LEVERS)
    if not base or not table:
        return []
    found = []
    for row in table.rows:
        points = [gain for on in base.sets if (gain := gain_on(row, base, on)) is not None]
        if row != base and points and len(points) == len(base.sets):
            found.append(Gain(row, statistics.fmean(points)))
    return sorted(found, key=lambda gain: -gain.points)


def gain_on(row: FoundRow, base: FoundRow, on: str) -> float | None:
    """Points of asymmetric mAP over another row, on one set; None where either has none."""
    own, other = row.mean_ap(ASYMMETRIC, on), base.mean_ap(ASYMMETRIC, on)
    return own.mean - other.mean if own and other else None


def noise(findings: Findings) -> float:
    """Two deviations of the base row over its seeds, in points of mAP, mean of the sets."""
    base = findings.row(LEVERS, BASE)
    spreads = [base.mean_ap(ASYMMETRIC, on) for on in base.sets] if base else []
    deviations = [found.deviation for found in spreads if found and found.deviation is not None]
    return 2 * statistics.fmean(deviations) if deviations else _NOISE_POINTS


def helped(findings: Findings) -> list[str]:
    """The levers whose gain is more than noise."""
    least = noise(findings)
    told = [_told(gain) for gain in gains(findings) if gain.points > least]
    return [f"**Levers of training** over {_base(findings)}: {listed(told)}."] if told else []


def helped_not(findings: Findings) -> list[str]:
    """Those that change nothing that can be seen, and those that cost."""
    least = noise(findings)
    found = gains(findings)
    same = [_told(gain) for gain in found if abs(gain.points) <= least]
    worse = [_told(gain) for gain in found if gain.points < -least]
    said = []
    if same:
        said.append(f"**Within noise** (± {least:.1f}) of {_base(findings)}: {listed(same)}.")
    if worse:
        said.append(f"**Worse** than {_base(findings)}: {listed(worse)}.")
    return said


def more_data(findings: Findings) -> list[str]:
    """What a doubling of the distinct teacher vectors adds, and how many `WANTED` would take."""
    rows = new_views(findings)
    if len(rows) < 3:
        return []
    told = []
    for on in rows[0].sets:
        line = _line(rows, on)
        if line is not None:
            told.append(f"on {on} {line}")
    first, last = rows[0].vectors, rows[-1].vectors
    if not told:
        return []
    return [
        f"**More distinct teacher vectors**, from {first:,} to {last:,}, each seen once: each "
        f"doubling adds, of the teacher, {'; '.join(told)}."
    ]


def new_views(findings: Findings) -> list[FoundRow]:
    """Rows of the curve from a random head in which no view came twice, the fewest first."""
    table = findings.tables.get(CURVE)
    rows = [
        row
        for row in (table.rows if table else ())
        if all(run.config.head is None and result.seen <= result.views for run, result in row.done)
        and row.done
    ]
    return sorted(rows, key=lambda row: row.vectors or 0)


def _line(rows: list[FoundRow], on: str) -> str | None:
    """The least-squares line of the ratio over log2 of the vectors."""
    points = [
        (math.log2(row.vectors), ratio.mean)
        for row in rows
        if row.vectors and (ratio := row.ratio(ASYMMETRIC, on))
    ]
    if len(points) < 3:
        return None
    slope, level = statistics.linear_regression(*zip(*points, strict=True))
    x = points[-1][0]
    told = f"{slope:+.3f}".replace("-", "−") + f" (at the last, {points[-1][1]:.2f})"
    doublings = (WANTED - level) / slope - x if slope > 0 else math.inf
    if doublings <= 0:
        return told
    if doublings > _MOST_DOUBLINGS:
        return f"{told}, which does not reach {WANTED} in {_MOST_DOUBLINGS} doublings"
    return f"{told}, so that {WANTED} would take about {2**doublings:.0f} times as many"


def _base(findings: Findings) -> str:
    base = findings.row(LEVERS, BASE)
    return f"“{base.spec.label}”" if base else BASE


def _told(gain: Gain) -> str:
    return f"“{gain.row.spec.label}” {signed(gain.points)}"
