"""What the study found, row by row: means and deviations over seeds, and ratios to the teacher."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from training.evaluation.names import Pairing
from training.study.asking import Lever, QueryLevers
from training.study.plan import RowSpec, Run, Table
from training.study.result import Figures, OnSet, Result


@dataclass(frozen=True)
class Measure:
    """Which figure of a set.  queries: as they are, or mapped by an alignment."""

    queries: Literal["plain", "aligned"]
    pairing: Pairing

    def of(self, found: OnSet) -> Figures | None:
        """None where it was not measured, as with models that have no teacher."""
        figures = found.plain if self.queries == "plain" else found.aligned
        return figures.get(self.pairing)


ASYMMETRIC: Final = Measure("plain", "student_to_teacher")
ALIGNED: Final = Measure("aligned", "student_to_teacher")
SYMMETRIC: Final = Measure("plain", "student_to_student")
TEACHER: Final = Measure("plain", "teacher_to_teacher")


@dataclass(frozen=True)
class Spread:
    """Mean over n seeds.  deviation: the sample's standard deviation (n - 1); None of one seed."""

    mean: float
    deviation: float | None
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """None of none."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


@dataclass(frozen=True, eq=False)
class FoundRow:
    """done: its runs with their results, by seed.  missing: the others.

    references: by the name of the set, the mAP in [0, 1] of the table's own teacher: for rows that
    have no teacher.
    """

    spec: RowSpec
    done: tuple[tuple[Run, Result], ...]
    missing: tuple[Run, ...]
    references: Mapping[str, float]

    def mean_ap(self, measure: Measure, on: str) -> Spread | None:
        """mAP in per cent."""
        return spread([100 * figures.mean_ap for figures, _ in self._figures(measure, on)])

    def precision_at_1(self, measure: Measure, on: str) -> Spread | None:
        """P@1 in per cent."""
        return spread([100 * figures.precision_at_1 for figures, _ in self._figures(measure, on)])

    def ratio(self, measure: Measure, on: str) -> Spread | None:
        """mAP over the teacher's own: that of each result, else the table's."""
        ratios = []
        for figures, found in self._figures(measure, on):
            own = TEACHER.of(found)
            reference = own.mean_ap if own else self.references.get(on)
            if reference:
                ratios.append(figures.mean_ap / reference)
        return spread(ratios)

    def overall(self, measure: Measure) -> float | None:
        """The ratio's mean over the sets; None unless every set has one."""
        ratios = [self.ratio(measure, on) for on in self.sets]
        known = [ratio.mean for ratio in ratios if ratio]
        return statistics.fmean(known) if known and len(known) == len(ratios) else None

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the sets that judged it."""
        return tuple(dict.fromkeys(on for _, result in self.done for on in result.sets))

    @property
    def seconds(self) -> Spread | None:
        """Of its training."""
        return spread([result.seconds for _, result in self.done])

    @property
    def vectors(self) -> int | None:
        """Distinct teacher vectors that it learned from: in the steps, or in the closed form."""
        return max((distinct_vectors(run, result) for run, result in self.done), default=None)

    def _figures(self, measure: Measure, on: str) -> list[tuple[Figures, OnSet]]:
        sets = [result.sets[on] for _, result in self.done if on in result.sets]
        return [(figures, found) for found in sets if (figures := measure.of(found))]


def distinct_vectors(run: Run, result: Result) -> int:
    """At most as many as views were shown; a head in closed form saw its own share of them."""
    shown = min(result.views, result.seen)
    if run.config.head is None:
        return shown
    photographs = result.views // run.config.crops.per_photograph
    return max(shown, photographs * run.config.head.views_per_photograph)


@dataclass(frozen=True)
class FoundTable:
    """teachers: mAP in [0, 1] of each teacher that taught a row, by its name and that of the set.

    sets: names of the sets, in the order the results have them.
    """

    table: Table
    rows: tuple[FoundRow, ...]
    teachers: Mapping[str, Mapping[str, float]]
    sets: tuple[str, ...]

    def row(self, name: str) -> FoundRow | None:
        """By its name, if anything of it was found."""
        return next((row for row in self.rows if row.spec.name == name and row.done), None)


def found_table(table: Table, results: Mapping[str, Result | None]) -> FoundTable:
    """results: by the name of the run; one that is None or absent is missing."""
    done = [(run, found) for run in table.runs if (found := results.get(run.name))]
    teachers = _teachers(done)
    references = teachers.get(table.spec.teacher or "", {})
    rows = tuple(
        FoundRow(
            spec=spec,
            done=tuple((run, found) for run, found in done if run.row == spec),
            missing=tuple(
                run for run in table.runs if run.row == spec and not results.get(run.name)
            ),
            references=references,
        )
        for spec in table.spec.rows
    )
    sets = dict.fromkeys(on for _, result in done for on in result.sets)
    return FoundTable(table, rows, teachers, tuple(sets))


def _teachers(done: Sequence[tuple[Run, Result]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for run, result in done:
        if run.teacher is not None:
            lines = found.setdefault(run.teacher, {})
            for on, figures in result.sets.items():
                if own := TEACHER.of(figures):
                    lines.setdefault(on, own.mean_ap)
    return found


def published_figures(text: str | None) -> tuple[float | None, ...]:
    """The numbers of a row of a published table, `52.9 / 64.9`; None where there is a dash."""
    if text is None:
        return ()
    numbers = [re.match(r"\s*(\d+(?:\.\d+)?)", part) for part in text.split("/")]
    return tuple(float(number[1]) if number else None for number in numbers)


@dataclass(frozen=True)
class Findings:
    """Everything there is to write about.  tables: by name.  queries: None: not measured."""

    tables: Mapping[str, FoundTable]
    queries: QueryLevers | None

    def row(self, table: str, row: str) -> FoundRow | None:
        """By the names of both, if anything of it was found."""
        found = self.tables.get(table)
        return found.row(row) if found else None

    def lever(self, name: str) -> Lever | None:
        """A way to ask, if it was measured."""
        return self.queries.lever(name) if self.queries else None
