"""An evaluation as a table for people and as JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.table import Table

from training.evaluation.encoders import Origin, ShotEncoder
from training.evaluation.folder import Evaluation, Protocol, evaluate, read_protocol
from training.evaluation.ranking import ratio, ratio_text
from training.evaluation.stored_rows import RowStore
from training.files import write_json

_LEAVE_ONE_OUT = (
    "warning: leave-one-out over the whole folder; photographs taken in one burst make it "
    "easy: give --splits for an honest figure"
)


class Figures(TypedDict):
    """One pairing, in [0, 1], and its ratios to teacher → teacher."""

    mean_ap: float
    precision_at_1: float
    mean_ap_ratio: float | None
    precision_at_1_ratio: float | None


def report(
    teacher: ShotEncoder,
    student: ShotEncoder,
    dataset: Path,
    *,
    splits: Path | None,
    json_out: Path | None,
    store: RowStore,
) -> None:
    """Evaluate, print the table on stdout and remarks on stderr, and write the JSON if asked.

    splits: as given, else looked for inside the data set.
    """
    remarks = Console(stderr=True, soft_wrap=True)
    if splits is None:
        remarks.print(_LEAVE_ONE_OUT)
    elif not splits.is_file():
        splits = dataset / splits
    protocol = read_protocol(dataset, splits)
    evaluation = evaluate(teacher, student, protocol, store)
    scored = evaluation.reference.queries
    title = f"{dataset.name}: {scored} queries, {len(protocol.gallery)} in the gallery"
    Console().print(table_of(evaluation, title=title))
    if not evaluation.aligned:
        remarks.print("too few photographs in the gallery, or all alike: queries are not aligned")
    if evaluation.skipped:
        remarks.print(f"{evaluation.skipped} photographs could not be read and were skipped")
    if evaluation.queries_without_match:
        remarks.print(f"{evaluation.queries_without_match} queries have no match: not scored")
    if json_out is not None:
        write_json(json_out, _record(evaluation, protocol, teacher.origin, student.origin))


def table_of(evaluation: Evaluation, *, title: str) -> Table:
    """Three pairings, plain and aligned: mAP and P@1 in per cent, their ratios to the first row."""
    table = Table(title=title)
    table.add_column("query → gallery")
    for name in ("mAP", "P@1", "mAP ratio", "P@1 ratio"):
        table.add_column(name, justify="right")
    for name, figures in _rows(evaluation).items():
        table.add_row(
            name.replace("_to_", " → ").replace("_aligned", ", aligned"),
            f"{100 * figures['mean_ap']:.2f}",
            f"{100 * figures['precision_at_1']:.2f}",
            ratio_text(figures["mean_ap_ratio"]),
            ratio_text(figures["precision_at_1_ratio"]),
        )
    return table


def _record(
    evaluation: Evaluation, protocol: Protocol, teacher: Origin, student: Origin
) -> dict[str, object]:
    """The figures with their conditions."""
    return {
        "gallery": teacher.described(),
        "query": student.described(),
        "space": teacher.space.id,
        "dataset": protocol.folder.name,
        "protocol": "leave-one-out" if protocol.is_leave_one_out else "gallery and query",
        "photographs": {"queries": len(protocol.queries), "gallery": len(protocol.gallery)},
        "skipped": evaluation.skipped,
        "queries_scored": evaluation.reference.queries,
        "queries_without_match": evaluation.queries_without_match,
        "scores": _rows(evaluation),
    }


def _rows(evaluation: Evaluation) -> dict[str, Figures]:
    reference = evaluation.reference
    kinds = (("", evaluation.scores), ("_aligned", evaluation.aligned))
    scores = {f"{name}{kind}": found for kind, all_ in kinds for name, found in all_.items()}
    return {
        name: {
            "mean_ap": score.mean_ap,
            "precision_at_1": score.precision_at_1,
            "mean_ap_ratio": ratio(score.mean_ap, reference.mean_ap),
            "precision_at_1_ratio": ratio(score.precision_at_1, reference.precision_at_1),
        }
        for name, score in scores.items()
    }
