from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.training.study.findings import SET, queries, result_of, results_of, runs_of, study_tables
from training.study.asking import QueryLevers
from training.study.claims.losses import as_published
from training.study.found import Findings, found_table
from training.study.page import write_page
from training.study.plan import Run, Table
from training.study.result import Result

TABLES = study_tables()
ASKED = queries(
    teacher=0.5, student=0.3, student_int8=0.29, flip=0.302, aligned=0.55, aligned_16=0.4,
    aligned_super_global=0.7,
)  # fmt: skip


def write(
    out: Path,
    results: dict[str, Result | None],
    asked: QueryLevers | None = ASKED,
    tables: tuple[Table, ...] = TABLES,
) -> list[Path]:
    return write_page(tables, results, asked, out=out, machine="a machine", command="make study")


def by_loss(run: Run) -> Result:
    """MS collapses, Contr is the best asymmetric and Contr⁺ the best symmetric row."""
    asymmetric = {"multi-similarity": 0.02, "contrastive": 0.44}.get(run.row.name, 0.3)
    symmetric = 0.48 if run.row.name == "contrastive-plus" else 0.4
    step = 0.01 * run.seed if run.row.name == "regression" else 0.0
    return result_of(run, asymmetric + step, symmetric)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(tmp_path_factory.mktemp("docs") / "results.md", results_of(TABLES, by_loss))


@pytest.fixture(scope="module")
def page(written: list[Path]) -> str:
    return written[0].read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def lines_of(page: str, label: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith(f"| {label} |")]


def test_every_row_of_every_table_is_there_with_its_configuration(page: str) -> None:
    for table in TABLES:
        of_table = section(page, table.spec.title)
        for row in table.spec.rows:
            assert len(lines_of(of_table, row.label)) == 2
        for run in table.runs:
            assert run.sha256[:8] in of_table
    assert "not run" not in page.lower()


def test_a_row_has_mean_deviation_and_ratio(page: str) -> None:
    """Reg: 30, 31 and 32 of a teacher's 50."""
    line = lines_of(section(page, "The losses, from a random head"), "Reg")[0]
    assert "| 31.0 ± 1.0 (0.620) | 36.0 ± 1.0 (0.720) | 40.0 ± 0.0 (0.800) |" in line
    assert "| 52.9 / 64.9 |" in line


def test_the_teacher_stands_in_the_table_of_its_students(page: str) -> None:
    losses = section(page, "The losses, from a random head")
    controls = section(page, "Controls")
    assert losses.count("*teacher lite2, t→t* |  | *50.0*") == 1
    assert [f"*teacher {name}, t→t*" in controls for name in ("lite2", "raw", "centred")] == [
        True,
        True,
        True,
    ]


def test_a_bar_in_the_name_of_a_set_does_not_end_its_cell(page: str) -> None:
    widths: dict[str, set[int]] = {}
    for part in re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE):
        widths[part] = {len(re.findall(r"(?<!\\)\|", line)) for line in part.splitlines()}
    assert widths
    assert all(len(found) == 1 for found in widths.values())


def test_what_is_claimed_follows_the_figures(page: str) -> None:
    assert "Reg is AML's best asymmetric row. Here it **is not**" in page
    assert "Contr⁺ is AML's best symmetric row. Here it **is**" in page
    assert "MS (0.03) **collapse** too, and Triplet (0.45), RKD (0.45) and DR (0.45)" in page
    assert "the losses still differ**: 0.13 (MS) to 0.76 (Contr)" in page
    assert f"from 30.0 (0.60) to 55.0 (1.10) on {SET}" in page


def test_the_other_outcome_is_claimed_too() -> None:
    def make(run: Run) -> Result:
        return result_of(run, 0.4 if run.row.name == "regression" else 0.3)

    results = results_of(TABLES, make)
    found = {table.name: found_table(table, results) for table in TABLES}
    asymmetric, _, collapse = as_published(Findings(found, None))
    assert "Reg is AML's best asymmetric row. Here it **is**" in asymmetric
    assert "Triplet (0.45), MS (0.45), RKD (0.45) and DR (0.45) **do not**" in collapse


def test_pictures_are_valid_and_named_by_the_page(written: list[Path], page: str) -> None:
    names = [path.name for path in written[1:]]
    assert names == [
        f"results_{part}.png"
        for part in ("losses", "levers", "curve", "attention", "mixing", "asking")
    ]
    for path in written[1:]:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
        assert image.format == "PNG"
        assert min(image.size) > 200
        assert f"]({path.name})" in page


def test_equal_results_give_equal_bytes(written: list[Path], tmp_path: Path) -> None:
    again = write(tmp_path / "results.md", results_of(TABLES, by_loss))
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_what_was_not_run_is_said(tmp_path: Path) -> None:
    lacking = ("1_losses/regression-s2", "1_losses/triplet-s0")
    losses = TABLES[:1]
    results = results_of(losses) | dict.fromkeys(lacking)
    page = write(tmp_path / "results.md", results, None, losses)[0].read_text()
    assert f"2 of the study's {len(runs_of(losses))} runs are not done" in page
    figures, run = lines_of(page, "Triplet")[:2]
    assert figures.count("not run") == 6
    assert "0: not run" in run
    assert "2: not run" in lines_of(page, "Reg")[1]
    assert "Not run: `benchmarks/asking.py` measures them." in page


def test_a_study_that_was_not_begun_still_lists_its_rows(tmp_path: Path) -> None:
    written = write(tmp_path / "results.md", {}, None)
    page = written[0].read_text()
    assert len(written) == 1
    assert "Nothing was run yet." in page
    for row in (row for table in TABLES for row in table.spec.rows):
        assert all("not run" in line for line in lines_of(page, row.label))
