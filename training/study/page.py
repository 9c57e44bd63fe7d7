"""The page of results: what was found, every row of the study, and how to get it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lorgnette.text import visible
from training.files import write_atomically
from training.study.asking import QueryLevers
from training.study.claims.minute import advice, works, works_not
from training.study.found import Findings, found_table
from training.study.plan import Table
from training.study.plots.draw import ASKING, draw
from training.study.result import Result
from training.study.sections import asking_section, section_of

LEAD = (
    "Asymmetric retrieval: a light student embeds the query, on the device; a heavy teacher has "
    "embedded the gallery, once. Does the light query find as much as the heavy one would?\n"
)

CONVENTIONS = (
    "mAP in per cent, over the whole ranking. `s→t`: the student asks the teacher's gallery; "
    "`aligned`: the same, its queries mapped as the service maps them, by what it learned of the "
    "gallery's photographs without labels; `s→s`: the student embedded the gallery too; `t→t`: the "
    "teacher asks its own. In brackets: times the teacher's `t→t` in the same space. `±`: the "
    "sample's standard deviation over the seeds; a row of one seed has none. Vectors: distinct "
    "rows of the teacher that were learned from. Published figures are of other photographs and "
    "larger networks: compare their order.\n"
)


def write_page(
    tables: tuple[Table, ...],
    results: Mapping[str, Result | None],
    queries: QueryLevers | None,
    *,
    out: Path,
    machine: str,
    command: str,
) -> list[Path]:
    """Write the page to `out` and its pictures beside it; return all of them, the page first.

    results: by the name of the run; what is None or absent is shown as not run.  machine, command:
    what it ran on, and how it was run, as typed.  Equal arguments give equal bytes.
    """
    findings = Findings({table.name: found_table(table, results) for table in tables}, queries)
    pictures = draw(findings, stem=out.stem)
    made = f"Written by `{visible(command)}` on {visible(machine)}; do not edit.\n"
    parts = [
        "# Results\n",
        LEAD,
        made,
        *_missing(findings),
        "## What works\n",
        _bullets(works(findings)),
        "## What does not, and what is not as published\n",
        _bullets(works_not(findings)),
        "## With your own photographs\n",
        _bullets(advice(findings)),
        "## Reading the tables\n",
        CONVENTIONS,
        *(section_of(found, pictures.get(name, ())) for name, found in findings.tables.items()),
        asking_section(queries, pictures.get(ASKING, ())),
    ]
    drawn = [picture for of_one in pictures.values() for picture in of_one]
    for picture in drawn:
        write_atomically(out.parent / f"{picture.name}.png", picture.png)
    write_atomically(out, "\n".join(parts).encode())
    return [out, *(out.parent / f"{picture.name}.png" for picture in drawn)]


def _missing(findings: Findings) -> list[str]:
    """What the page lacks, said before anything else."""
    runs = [run for found in findings.tables.values() for run in found.table.runs]
    missing = [
        run for found in findings.tables.values() for row in found.rows for run in row.missing
    ]
    if not missing:
        return []
    return [
        f"**{len(missing)} of the study's {len(runs)} runs are not done**: their rows say so, and "
        "what is written about the others is of fewer seeds or of fewer rows.\n"
    ]


def _bullets(sentences: list[str]) -> str:
    return "".join(f"- {sentence}\n" for sentence in sentences or ["Nothing was run yet."])
