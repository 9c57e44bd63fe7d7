"""What the shipped pair gives, and what helps it at the query."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from training.study.asking import Lever, QueryLevers
from training.study.found import Findings
from training.study.markdown import listed, signed

ADAPTED = "adapted-grocery_packages-0.4"
"""Adapted to the cartons by the share that `lorgnette adapt` takes."""

FEWER = ("aligned-16", "aligned-64", "aligned-256")
VIEWS = ("flip", "zoom", "flip-zoom")

_USEFUL_POINTS = 1.0
"""Of mAP, mean of the sets: less is not worth a second pass through the network."""


def aligned(findings: Findings) -> list[str]:
    """What an alignment gives, alone, from fewer photographs, and with a re-ranking."""
    said = []
    queries = findings.queries
    if queries and (step := _step(queries, "student", "aligned")):
        few = [lever for name in FEWER if (lever := queries.lever(name))]
        first = next(iter(queries.sets))
        fewer = ", ".join(
            f"{100 * lever.sets[first].mean_ap:.1f} from {lever.name.removeprefix('aligned-')}"
            for lever in few
            if first in lever.sets
        )
        said.append(
            f"**Aligning the queries with the gallery**, by its photographs, without labels or "
            f"training: the shipped student goes {step}."
            + (f" On {first} it has {fewer} photographs." if fewer else "")
        )
    if queries and (step := _step(queries, "aligned", "aligned-super-global")):
        said.append(
            f"**Re-ranking with the gallery's own vectors** (`super-global`) on top: {step}."
        )
    return said


def adapted(findings: Findings) -> list[str]:
    """What a student gains on the photographs it was adapted to, and gives up elsewhere."""
    queries = findings.queries
    step = queries and _step(queries, "student", ADAPTED)
    if not step:
        return []
    return [
        "**Adapting the student to a gallery** (`lorgnette adapt`, a minute, no labels), where no "
        f"server aligns: adapted to the cartons, it goes {step}."
    ]


def many_views(findings: Findings) -> list[str]:
    """What a query of several views gains, beside its cost."""
    queries = findings.queries
    student = queries and queries.lever("student")
    if not queries or not student:
        return []
    levers = [lever for name in VIEWS if (lever := queries.lever(name))]
    if not levers:
        return []
    gains = [statistics.fmean(_gains(queries, student, lever)) for lever in levers]
    told = [
        f"{lever.label} {signed(gain)} for {lever.cost_ms / student.cost_ms:.1f} times the time"
        for lever, gain in zip(levers, gains, strict=True)
    ]
    verdict = "pay" if max(gains) >= _USEFUL_POINTS else "hardly pay"
    return [f"**Several views of a query** {verdict}: {listed(told)} (mAP, mean of the sets)."]


def int8(findings: Findings) -> list[str]:
    """What the int8 student loses."""
    queries = findings.queries
    full, small = findings.lever("student"), findings.lever("student-int8")
    if not queries or not full or not small:
        return []
    gains = _gains(queries, full, small)
    worst = min(gains)
    return [
        f"**int8 instead of fp16** changes mAP by {listed([signed(gain) for gain in gains])} on "
        f"the sets, in {small.cost_ms / full.cost_ms:.2f} of the time: "
        + ("take it." if worst > -_USEFUL_POINTS else "look before you take it.")
    ]


def figures_of(findings: Findings, name: str) -> str:
    """`31.0 (1.18)` on each set, of a way to ask; empty if it was not measured."""
    queries, lever = findings.queries, findings.lever(name)
    if not queries or not lever:
        return ""
    return listed([_figure(queries, lever, on) for on in lever.sets])


def _step(queries: QueryLevers, before: str, after: str) -> str:
    """`from a to b on set, ...`; empty unless both were measured."""
    first, second = queries.lever(before), queries.lever(after)
    if not first or not second:
        return ""
    steps = [
        f"from {_figure(queries, first, on, named='')} to {_figure(queries, second, on)}"
        for on in queries.sets
        if on in first.sets and on in second.sets
    ]
    return listed(steps) if steps else ""


def _figure(queries: QueryLevers, lever: Lever, on: str, *, named: str = " on {}") -> str:
    teacher = queries.lever("teacher")
    figure = f"{100 * lever.sets[on].mean_ap:.1f}"
    if teacher and on in teacher.sets:
        figure += f" ({lever.sets[on].mean_ap / teacher.sets[on].mean_ap:.2f})"
    return figure + named.format(on)


def _gains(queries: QueryLevers, before: Lever, after: Lever) -> Sequence[float]:
    """Points of mAP on each set that both have."""
    return [
        100 * (after.sets[on].mean_ap - before.sets[on].mean_ap)
        for on in queries.sets
        if on in before.sets and on in after.sets
    ]
