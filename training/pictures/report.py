"""One HTML page of a run that needs nothing beside itself, and its pictures as PNG."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lorgnette.text import visible
from training.analyses.subject import Subject
from training.evaluation.ranking import ratio, ratio_text
from training.files import write_atomically
from training.hardware import hardware
from training.pictures.curves import draw_curves
from training.pictures.metrics_file import read_metrics
from training.pictures.precision_recall import draw_precision_recall
from training.pictures.projection import draw_projection
from training.pictures.ranked_galleries import draw_ranked_galleries
from training.pictures.retrieval import Retrieval, pairings, retrieve
from training.pictures.run_record import METRICS_NAME, RunRecord, read_run
from training.pictures.style import Picture

REPORT_NAME = "report.html"


@dataclass(frozen=True)
class ScoreRow:
    """One pairing, mAP and P@1 in per cent, and their ratios to teacher → teacher."""

    name: str
    mean_ap: float
    precision_at_1: float
    mean_ap_ratio: float | None
    precision_at_1_ratio: float | None


@dataclass(frozen=True)
class Evidence:
    """What was measured on a data set.  conditions: the sentence below the figures."""

    scores: tuple[ScoreRow, ...]
    conditions: str
    pictures: tuple[Picture, ...]


NO_EVIDENCE = Evidence((), "", ())


def write_report(run: Path, out: Path, evidence: Evidence, *, command: str) -> Path:
    """Draw the run's curves, write every picture and the page into `out`; return the page.

    command: what made the report, as it would be typed.  Equal runs, evidence, command and machine
    give equal bytes.  Raises `InvalidConfiguration` when the run has no configuration or no
    metrics.
    """
    record = read_run(run)
    curves = draw_curves(read_metrics(run / METRICS_NAME))
    pictures = (*evidence.pictures, curves)
    for picture in pictures:
        write_atomically(out / f"{picture.name}.png", picture.png)
    page = out / REPORT_NAME
    write_atomically(page, _render(record, pictures, evidence, command=command).encode())
    return page


def gather(subject: Subject, *, perplexity: float, seed: int) -> Evidence:
    """Score the three pairings of a teacher and its student and draw what they find.

    Raises `InvalidConfiguration` when no query has something to find, or t-SNE has too few points.
    """
    projection = draw_projection(subject, perplexity=perplexity, seed=seed)
    found = {name: retrieve(subject, *sides) for name, sides in pairings(subject).items()}
    asymmetric = found["student → teacher"]
    return Evidence(
        scores=_score_rows(found),
        conditions=_conditions(subject, queries=len(asymmetric.average_precisions)),
        pictures=(
            draw_precision_recall(found),
            draw_ranked_galleries(subject, asymmetric.average_precisions),
            projection,
        ),
    )


def _score_rows(found: Mapping[str, Retrieval]) -> tuple[ScoreRow, ...]:
    reference = found["teacher → teacher"]
    return tuple(
        ScoreRow(
            name=name,
            mean_ap=100 * one.mean_ap,
            precision_at_1=100 * one.precision_at_1,
            mean_ap_ratio=ratio(one.mean_ap, reference.mean_ap),
            precision_at_1_ratio=ratio(one.precision_at_1, reference.precision_at_1),
        )
        for name, one in found.items()
    )


def _conditions(subject: Subject, *, queries: int) -> str:
    protocol = "leave-one-out" if subject.is_leave_one_out else "queries and gallery by its splits"
    teacher, student = subject.made_by
    return (
        f"Teacher: {teacher}. Student: {student}. "
        f"{visible(subject.folder.name)}, {protocol}: {queries} queries with something to find, "
        f"{len(subject.gallery)} photographs in the gallery, {len(subject.names)} classes. "
        "Ratios are to teacher → teacher."
    )


def _render(
    record: RunRecord, pictures: Sequence[Picture], evidence: Evidence, *, command: str
) -> str:
    state = "finished" if record.is_finished else "not finished, or its model was removed"
    facts = record.facts | {"report made by": visible(command), "report made on": hardware()}
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    pages.filters["ratio"] = ratio_text
    pages.filters["base64"] = lambda content: base64.b64encode(content).decode()
    return pages.get_template("report.html.j2").render(
        run=record,
        subtitle=f"A run of lorgnette train, {state}.",
        facts=facts,
        scores=evidence.scores,
        conditions=evidence.conditions,
        pictures=pictures,
    )
