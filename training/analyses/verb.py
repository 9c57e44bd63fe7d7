"""The analyses of a subject as tables for people, JSON for programs, and pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.analyses.study import Geometry, Positivity, study_geometry, study_positivity
from training.analyses.subject import Subject
from training.files import write_atomically, write_json
from training.losses.pair import MultiSimilarity
from training.mixing_spec import MixSpec
from training.pictures.analysis import draw_geometry, draw_positivity

FIGURES_NAME = "analysis.json"


def run_analyses(
    subject: Subject, loss: MultiSimilarity, mix: MixSpec, *, out: Path, seed: int
) -> None:
    """Analyse, print on stdout, and write `analysis.json` and two pictures into `out`."""
    geometry = study_geometry(subject, mix, seed=seed)
    positivity = study_positivity(subject, loss, mix, seed=seed)
    for picture in (draw_geometry(geometry), draw_positivity(positivity, loss)):
        write_atomically(out / f"{picture.name}.png", picture.png)
    teacher, student = subject.made_by
    record = {
        "gallery": teacher,
        "query": student,
        "dataset": subject.folder.name,
        "protocol": "leave-one-out" if subject.is_leave_one_out else "gallery and query",
        "photographs": {"queries": len(subject.queries), "gallery": len(subject.gallery)},
        "loss": {"name": "multi-similarity", **asdict(loss)},
        "mixing": mix.model_dump(mode="json"),
        "seed": seed,
        "geometry": asdict(geometry),
        "positivity": asdict(positivity),
    }
    write_json(out / FIGURES_NAME, record)
    console = Console()
    console.print(geometry_table(geometry))
    console.print(positivity_table(positivity))
    console.print(f"{out}: {FIGURES_NAME}, geometry.png, positivity.png", soft_wrap=True)


def geometry_table(geometry: Geometry) -> Table:
    """One row a side; utilisation below."""
    table = Table(title="alignment and uniformity: lower is tighter, more even")
    for name in ("", "alignment", "uniformity"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row(
        "teacher", f"{geometry.alignment_teacher:.4f}", f"{geometry.uniformity_teacher:.4f}"
    )
    table.add_row(
        "student", f"{geometry.alignment_student:.4f}", f"{geometry.uniformity_student:.4f}"
    )
    table.add_row("student → teacher", f"{geometry.alignment_crossed:.4f}", "")
    table.add_section()
    table.add_row("utilisation of the gallery", f"{geometry.utilisation:.4f}", "")
    table.add_row("with mixed embeddings", f"{geometry.utilisation_mixed:.4f}", "")
    return table


def positivity_table(positivity: Positivity) -> Table:
    """Every second λ; all of them are in the JSON and the picture."""
    drawn = f"{100 * positivity.drawn:.1f} % over λ as drawn"
    table = Table(title=f"positivity under multi-similarity, per cent; {drawn}")
    for name in ("λ", "measured", "closed form", "all pairs"):
        table.add_column(name, justify="right")
    rows = zip(
        positivity.shares,
        positivity.alone,
        positivity.predicted,
        positivity.together,
        strict=True,
    )
    for share, *values in list(rows)[1::2]:
        table.add_row(f"{share:.2f}", *(f"{100 * value:.1f}" for value in values))
    return table
