"""A whole study of seconds: what it runs, what it keeps, what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lorgnette.errors import InvalidConfiguration
from tests.training.study.study_ground import write_sets, write_tables
from training.evaluation.encoders import open_encoder
from training.evaluation.folder import evaluate, read_protocol
from training.evaluation.stored_rows import opened_store
from training.study.data import lay_out
from training.study.plan import first_seeds_first, read_tables
from training.study.result import RESULT_NAME
from training.study.run import Study, carry_out, results_of

LORGNETTE = str(Path(sys.executable).with_name("lorgnette"))
SHIPPED_TABLES = Path(__file__).parents[3] / "training" / "configs" / "study"


@pytest.fixture(scope="module")
def study(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("study")
    write_sets(root / "photographs")
    write_tables(root / "tables")
    where = Study(root / "tables", root / "photographs", experiment / "teacher", root / "out")
    carry_out(where, first_seeds_first(read_tables(where.tables)), jobs=2)
    return where


def test_every_row_is_trained_and_judged_on_every_set(study: Study) -> None:
    runs = first_seeds_first(read_tables(study.tables))
    assert [run.name for run in runs] == [
        "1_students/taught-s0",
        "1_students/alone-s0",
        "2_teachers/own-s0",
        "1_students/taught-s1",
    ]
    found = results_of(study, runs)
    for run in runs:
        result = found[run.name]
        assert result is not None
        assert result.config_sha256 == run.sha256
        assert result.seed == run.seed
        assert result.views == (8 if "own" in run.name else 16)
        assert result.seen == (24 if "taught" in run.name else 18)
        assert len(result.sets) == 3
        assert not (study.directory(run) / "checkpoint.pt").exists()
    taught = found["1_students/taught-s0"]
    alone = found["1_students/alone-s0"]
    assert taught is not None
    assert alone is not None
    for on_set in taught.sets.values():
        assert set(on_set.plain) == {
            "teacher_to_teacher",
            "student_to_student",
            "student_to_teacher",
        }
    for on_set in alone.sets.values():
        # Its rows are of another space than the teacher's: they are never compared.
        assert set(on_set.plain) == {"student_to_student"}
        assert not on_set.aligned


def test_the_figures_are_those_of_evaluate(study: Study, tmp_path: Path) -> None:
    runs = first_seeds_first(read_tables(study.tables))
    result = results_of(study, runs)["1_students/taught-s0"]
    assert result is not None
    folder = study.photographs / "caltech101_sample"
    with opened_store(None, workers=1) as store:
        expected = evaluate(
            open_encoder(study.shipped, resolution=None),
            open_encoder(study.directory(runs[0]), resolution=None),
            read_protocol(folder, folder / "splits.tsv"),
            store,
        )
    found = result.sets["caltech101_sample, 33 categories"].plain
    own = "student_to_student"
    assert found[own].mean_ap == pytest.approx(expected.scores[own].mean_ap, abs=1e-3)
    for pairing, score in expected.scores.items():
        # The teacher's rows are kept in float16, and four queries in eight photographs of a random
        # network are ranked by less than that: one swap is 0.06.
        assert found[pairing].mean_ap == pytest.approx(score.mean_ap, abs=0.13)


def test_what_is_done_is_not_done_again(study: Study) -> None:
    runs = first_seeds_first(read_tables(study.tables))
    before = {p: p.stat().st_mtime_ns for p in study.out.rglob(RESULT_NAME)}
    carry_out(study, runs, jobs=1)
    assert {p: p.stat().st_mtime_ns for p in study.out.rglob(RESULT_NAME)} == before


def test_a_row_that_has_changed_is_run_anew(study: Study) -> None:
    write_tables(study.tables, change={"schedule": {"steps": 2}})
    runs = first_seeds_first(read_tables(study.tables))
    assert results_of(study, runs)["1_students/taught-s0"] is None
    assert results_of(study, runs)["1_students/alone-s0"] is not None
    carry_out(study, runs, jobs=2)
    result = results_of(study, runs)["1_students/taught-s0"]
    assert result is not None
    assert result.seen == 16


def test_a_run_that_fails_is_named_and_the_others_are_done(study: Study, tmp_path: Path) -> None:
    write_tables(tmp_path / "tables", change={"optimiser": {"frozen": []}})
    other = Study(tmp_path / "tables", study.photographs, study.shipped, tmp_path / "out")
    runs = first_seeds_first(read_tables(other.tables))
    with pytest.raises(InvalidConfiguration, match=r"2 of 4 runs failed: 1_students/taught-s0"):
        carry_out(other, runs, jobs=2)
    found = results_of(other, runs)
    assert {name for name, result in found.items() if result is None} == {
        "1_students/taught-s0",
        "1_students/taught-s1",
    }


def test_missing_photographs_are_named(study: Study, tmp_path: Path) -> None:
    other = Study(study.tables, tmp_path, study.shipped, tmp_path / "out")
    with pytest.raises(InvalidConfiguration, match="caltech101_sample"):
        carry_out(other, [], jobs=1)


def test_the_labelled_half_is_asked_as_the_whole_is(study: Study) -> None:
    lines = (study.data / "grocery_packages" / "splits_seen.tsv").read_text().splitlines()
    roles = dict(line.split("\t") for line in lines)
    assert {path.split("/")[0] for path in roles} == {"c00", "c01"}
    assert sorted(roles.values()) == ["gallery"] * 4 + ["query"] * 4


def test_the_tables_of_the_project_are_whole() -> None:
    tables = read_tables(SHIPPED_TABLES)
    assert [table.name for table in tables] == [
        "1_losses",
        "2_started",
        "3_controls",
        "4_levers",
        "5_curve",
        "6_attention",
        "7_metrix",
    ]
    runs = first_seeds_first(tables)
    assert len({run.name for run in runs}) == len(runs)
    # What stands in two tables under two names would be computed twice.
    losses = {row.name for row in tables[0].spec.rows}
    assert {"alone", "regression", "contrastive-plus", "triplet", "rkd", "darkrank"} <= losses


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": []}, "seeds"),
        ({"rows": []}, "rows"),
        ({"trial": "examination"}, "trial"),
        ({"base": "_missing.yaml"}, "cannot read"),
    ],
)
def test_a_malformed_table_says_where(
    wrong: dict[str, object], message: str, tmp_path: Path
) -> None:
    write_tables(tmp_path)
    path = tmp_path / "1_students.yaml"
    path.write_text(json.dumps(yaml.safe_load(path.read_text()) | wrong))
    with pytest.raises(InvalidConfiguration, match=message):
        read_tables(tmp_path)


def test_two_rows_of_one_name_are_refused(tmp_path: Path) -> None:
    write_tables(tmp_path, name="alone")
    with pytest.raises(InvalidConfiguration, match="two rows have one name"):
        read_tables(tmp_path)


def test_photographs_that_moved_are_found_again(study: Study, tmp_path: Path) -> None:
    write_sets(tmp_path / "first")
    write_sets(tmp_path / "second")
    for name in ("first", "second"):
        lay_out(tmp_path / name, tmp_path / "data")
    link = tmp_path / "data" / "caltech101_sample" / "c00"
    assert link.resolve() == (tmp_path / "second" / "caltech101_sample" / "c00").resolve()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--page-only"], "--page"),
        (["--page", "taken/page.md"], "taken"),
        (["--queries", "missing.json"], "benchmarks/asking.py"),
        (["--only", "nothing"], "no run's name holds"),
    ],
)
def test_what_cannot_end_well_is_refused_before_anything_runs(
    arguments: list[str], said: str, study: Study, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    command = ["study", "--data", str(study.photographs), "--tables", str(study.tables)]
    done = subprocess.run(
        [LORGNETTE, *command, "--out", "out", *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
