"""A table of the study, and the table of ways to ask, as sections of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lorgnette.text import visible
from training.evaluation.ranking import ratio, ratio_text
from training.pictures.style import Picture
from training.study.asking import Lever, QueryLevers
from training.study.found import (
    ALIGNED,
    ASYMMETRIC,
    SYMMETRIC,
    TEACHER,
    FoundRow,
    FoundTable,
    Spread,
)
from training.study.markdown import NOT_RUN, figure_text, spread_text, table_of

STUDENT_HEAD = ("s→t", "aligned", "s→s")
TEACHER_HEAD = ("mAP", "P@1")


def section_of(found: FoundTable, pictures: Sequence[Picture]) -> str:
    """Its figures, its pictures, and how each row was run."""
    spec = found.table.spec
    parts = [
        f"## {visible(spec.title)}\n",
        visible(spec.about.strip()) + "\n",
        _figures(found),
        *(shown(picture) for picture in pictures),
        "<details><summary>what each row changes, and how it was run</summary>\n",
        _runs(found),
        "</details>\n",
    ]
    return "\n".join(parts)


def shown(picture: Picture) -> str:
    """A picture beside the page, and what it shows."""
    return f"![{picture.title}]({picture.name}.png)\n\n{picture.caption}\n"


def _figures(found: FoundTable) -> str:
    of_set = STUDENT_HEAD if found.table.spec.trial == "student" else TEACHER_HEAD
    head = ["row", "published", *(f"{on}<br>{column}" for on in found.sets for column in of_set)]
    if not found.sets:
        head.append("mAP")
    rows = [_teacher(found, name, lines) for name, lines in found.teachers.items()]
    rows += [_row(found, row, width=len(head)) for row in found.rows]
    return table_of(head, rows, left=2)


def _teacher(found: FoundTable, name: str, lines: Mapping[str, float]) -> list[str]:
    cells = [f"*teacher {name}, t→t*", ""]
    for on in found.sets:
        known = lines.get(on)
        line = None if known is None else Spread(100 * known, None, 1)
        cells += [f"*{spread_text(line)}*", "", ""]
    return cells


def _row(found: FoundTable, row: FoundRow, *, width: int) -> list[str]:
    cells = [row.spec.label, row.spec.published or ""]
    if not row.done:
        return cells + [NOT_RUN] * (width - len(cells))
    for on in found.sets:
        cells += _student(row, on) if found.table.spec.trial == "student" else _alone(row, on)
    return cells


def _student(row: FoundRow, on: str) -> list[str]:
    return [
        figure_text(row.mean_ap(measure, on), row.ratio(measure, on))
        for measure in (ASYMMETRIC, ALIGNED, SYMMETRIC)
    ]


def _alone(row: FoundRow, on: str) -> list[str]:
    return [spread_text(row.mean_ap(TEACHER, on)), spread_text(row.precision_at_1(TEACHER, on))]


def _runs(found: FoundTable) -> str:
    head = ["row", "what it is", "seed: configuration", "vectors", "views shown", "seconds"]
    return table_of(head, [_run(row) for row in found.rows], left=3)


def _run(row: FoundRow) -> list[str]:
    seeds = [f"{run.seed}: `{run.sha256[:8]}`" for run, _ in row.done]
    seeds += [f"{run.seed}: {NOT_RUN}" for run in row.missing]
    seen = max((result.seen for _, result in row.done), default=None)
    return [
        row.spec.label,
        row.spec.about,
        ", ".join(seeds),
        "–" if row.vectors is None else f"{row.vectors:,}",
        "–" if seen is None else f"{seen:,}",
        "–" if row.seconds is None else f"{row.seconds.mean:.0f}",
    ]


def asking_section(queries: QueryLevers | None, pictures: Sequence[Picture]) -> str:
    """The ways to ask, each with its cost."""
    title = "## The levers of the query\n"
    if queries is None:
        return f"{title}\n{NOT_RUN.capitalize()}: `benchmarks/asking.py` measures them.\n"
    sizes = "; ".join(
        f"{name}: {size.queries:,} queries, {size.gallery:,} photographs"
        for name, size in queries.sets.items()
    )
    about = (
        f"No training: {visible(queries.student)} asks the gallery of {visible(queries.teacher)}, "
        "both as shipped, through the SDK as a device and a service run them. mAP (times the "
        "teacher's) / P@1. ms: of the processor for a query, one thread, from decoded pixels to a "
        f"ranking, without the index. {sizes}."
    )
    head = ["who asks, how", "what it is", *queries.sets, "ms"]
    rows = [_lever(queries, lever) for lever in queries.levers]
    made = (
        f"Measured by `{visible(queries.command)}` at {queries.git_commit[:8]} on "
        f"{visible(queries.machine)}.\n"
    )
    return "\n".join(
        [title, about + "\n", table_of(head, rows, left=2), *map(shown, pictures), made]
    )


def _lever(queries: QueryLevers, lever: Lever) -> list[str]:
    teacher = queries.lever("teacher")
    cells = [lever.label, lever.about]
    for on in queries.sets:
        found = lever.sets.get(on)
        reference = teacher.sets.get(on) if teacher else None
        if found is None:
            cells.append(NOT_RUN)
            continue
        times = ratio(found.mean_ap, reference.mean_ap) if reference else None
        cells.append(
            f"{100 * found.mean_ap:.1f} ({ratio_text(times)}) / {100 * found.precision_at_1:.1f}"
        )
    return [*cells, f"{lever.cost_ms:.1f}"]
