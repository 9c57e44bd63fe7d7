"""A benchmark's figures as tables for people, JSON for programs, and the rankings themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from pydantic import JsonValue
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from training.evaluation.benchmark import Benchmark, BenchmarkResult, Measured
from training.evaluation.encoders import saw_landmarks_of
from training.evaluation.judges import Section
from training.evaluation.names import LANDMARKS
from training.evaluation.ranking import ratio, ratio_text
from training.files import write_json, writing_to


def report_benchmark(
    benchmark: Benchmark,
    result: BenchmarkResult,
    *,
    json_out: Path | None,
    ranks_out: Path | None,
) -> None:
    """Print the tables on stdout and remarks on stderr; write the JSON and the ranks if asked."""
    screen = Console(soft_wrap=True, highlight=False)
    screen.print(_conditions(result.protocol))
    for table in tables_of(result):
        screen.print(table)
    remarks = Console(stderr=True, soft_wrap=True, highlight=False)
    for remark in remarks_on(result):
        remarks.print(remark)
    if json_out is not None:
        write_json(json_out, record_of(result))
    if ranks_out is not None:
        write_ranks(ranks_out, benchmark, result)


def tables_of(result: BenchmarkResult) -> Iterator[Table]:
    """A table a pairing, a row a part of the benchmark, its conditions in the title.

    Figures are in per cent.  ratio: of the first figure, to teacher → teacher.
    """
    protocol = result.protocol
    for pairing, measured in result.measured.items():
        title = (
            f"{pairing.replace('_to_', ' → ')}   {protocol['name']}, {_crops(protocol)}, protocol "
            f"{protocol['hash']}\ntrained on {_trained_on(measured)}"
        )
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        table.add_column("part")
        for heading in (*measured.sections[0].figures, "ratio", "queries"):
            table.add_column(heading, justify="right", no_wrap=True)
        for number, section in enumerate(measured.sections):
            figures = (f"{100 * value:.2f}" for value in section.figures.values())
            ratio = _ratio(result, section, number)
            table.add_row(section.name, *figures, ratio, str(section.queries))
        yield table


def remarks_on(result: BenchmarkResult) -> Iterator[str]:
    """What a reader of the figures must know and would not see in them."""
    protocol = result.protocol
    if protocol["crops"] == "uncropped":
        yield (
            "warning: uncropped queries: not the published protocol, and easier; compare with "
            "uncropped figures only"
        )
    origins = {side for m in result.measured.values() for side in (m.asks, m.holds)}
    for origin in sorted(origins, key=lambda origin: origin.name):
        if protocol["name"] in LANDMARKS and saw_landmarks_of(origin.trained_on):
            yield (
                f"warning: {origin.name} was trained on Google Landmarks v2, which shows the "
                "landmarks of about half of these queries (36 of 70 of ROxford, 38 of 70 of "
                "RParis): its figures are inflated"
            )
    for section in next(iter(result.measured.values())).sections:
        if section.skipped:
            yield f"{section.skipped} queries of {section.name} have nothing to find: not scored"
    if result.unreadable_distractors:
        yield f"{result.unreadable_distractors} distractors could not be read and were left out"


def record_of(result: BenchmarkResult) -> dict[str, JsonValue]:
    """The figures with their conditions, for JSON.  Figures are in [0, 1]."""
    return {
        "protocol": dict(result.protocol),
        "remarks": list(remarks_on(result)),
        "unreadable_distractors": result.unreadable_distractors,
        "scores": {
            pairing: {
                "query": measured.asks.described(),
                "gallery": measured.holds.described(),
                "parts": {section.name: _part(section) for section in measured.sections},
            }
            for pairing, measured in result.measured.items()
        },
    }


def write_ranks(path: Path, benchmark: Benchmark, result: BenchmarkResult) -> None:
    """Write the rankings as `.npz`, whole or not at all.

    `<pairing>.order`: uint32 `[Q, K]`, rows of the gallery, best first.  `<pairing>.places`:
    uint32 `[Q, K]`, their places among the distractors.  `queries`, `gallery`: file names.
    `protocol`: JSON text.
    """
    arrays: dict[str, np.ndarray] = {
        "queries": np.array([shot.path.name for shot in benchmark.queries]),
        "gallery": np.array([shot.path.name for shot in benchmark.gallery]),
        "protocol": np.array(json.dumps(dict(result.protocol))),
    }
    for pairing, measured in result.measured.items():
        arrays[f"{pairing}.order"] = measured.ranking.order
        arrays[f"{pairing}.places"] = measured.ranking.places.astype(np.uint32)
    beside = path.with_name(f".{path.name}.writing")
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def _ratio(result: BenchmarkResult, section: Section, number: int) -> str:
    reference = result.measured.get("teacher_to_teacher")
    if reference is None:
        return "–"
    (value, *_), (best, *_) = (
        tuple(part.figures.values()) for part in (section, reference.sections[number])
    )
    return ratio_text(ratio(value, best))


def _crops(protocol: Mapping[str, str | int]) -> str:
    return "whole images" if protocol["crops"] == "none" else str(protocol["crops"])


def _conditions(protocol: Mapping[str, str | int]) -> str:
    counts = f"{protocol['queries']} queries, {protocol['gallery']} in the gallery"
    noise = f", {protocol['distractors']} distractors" if protocol["distractors"] else ""
    images = "".join(f"\n{side}: {text}" for side, text in protocol.items() if "images" in side)
    return f"{counts}{noise}{images}\nwhitening: {protocol['whitening']}\n"


def _trained_on(measured: Measured) -> str:
    sides = [
        ", ".join(origin.trained_on) or "unknown" for origin in (measured.asks, measured.holds)
    ]
    return " → ".join(dict.fromkeys(sides))


def _part(section: Section) -> JsonValue:
    return {
        "figures": dict(section.figures),
        "queries": section.queries,
        "skipped": section.skipped,
    }
