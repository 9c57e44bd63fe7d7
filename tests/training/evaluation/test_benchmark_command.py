"""`lorgnette evaluate --benchmark`, end to end, for every name, on stand-ins of its layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidConfiguration, InvalidDataset, SpaceMismatch
from tests.tiny_bundle import write_tiny_bundle
from tests.training.evaluation.stand_ins import write_noise, write_stand_in
from training.data.public.layout import Box
from training.evaluation.benchmark_sets import read_benchmark
from training.evaluation.cli import evaluate
from training.evaluation.names import BENCHMARKS

FIGURES = {
    "roxford5k": ("easy", "mAP"),
    "rparis6k": ("hard", "mAP"),
    "oxford5k": ("all", "mAP"),
    "paris6k": ("all", "mP@10"),
    "cub": ("all", "R@8"),
    "cars": ("all", "R@1"),
    "sop": ("all", "R@1000"),
    "inshop": ("all", "R@30"),
    "gldv2": ("private", "mAP@100"),
}


def _invoke(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _pair(teacher: Bundle, student: Bundle) -> list[object]:
    return ["--gallery", teacher.directory, "--query", student.directory]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_is_read_embedded_and_judged(
    name: str, tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    write_stand_in(name, tmp_path)
    result = _invoke(
        *_pair(teacher, student), "--benchmark", name, "--root", tmp_path,
        "--json", tmp_path / "out.json", "--ranks", tmp_path / "ranks.npz",
    )  # fmt: skip
    assert result.exit_code == 0, result.output + str(result.exception)
    record = json.loads((tmp_path / "out.json").read_text())
    part, figure = FIGURES[name]
    for pairing in ("teacher_to_teacher", "student_to_student", "student_to_teacher"):
        figures = record["scores"][pairing]["parts"][part]["figures"]
        # Noisy copies of a thing are its nearest neighbours: everything is found.
        assert figures[figure] == pytest.approx(1.0)
        assert pairing.replace("_to_", " → ").split()[0] in result.output
    assert record["protocol"]["name"] == name
    assert record["protocol"]["hash"] in result.output
    assert record["protocol"]["crops"] == ("cropped" if name in BENCHMARKS[:4] else "none")
    with np.load(tmp_path / "ranks.npz") as ranks:
        assert len(ranks["student_to_teacher.order"]) == record["protocol"]["queries"]


def test_one_model_alone_is_judged_against_itself(tmp_path: Path, student: Bundle) -> None:
    write_stand_in("cub", tmp_path)
    result = _invoke(
        "--query", student.directory, "--benchmark", "cub", "--root", tmp_path,
        "--json", tmp_path / "out.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out.json").read_text())
    assert list(record["scores"]) == ["student_to_student"]


def test_uncropped_is_asked_for_and_said(tmp_path: Path, teacher: Bundle, student: Bundle) -> None:
    write_stand_in("roxford5k", tmp_path)
    common = [*_pair(teacher, student), "--benchmark", "roxford5k", "--root", tmp_path]
    boxes = [
        {
            shot.box
            for shot in read_benchmark(
                "roxford5k", tmp_path, distractors=None, is_cropped=is_cropped
            ).queries
        }
        for is_cropped in (True, False)
    ]
    assert boxes == [{Box(2, 1, 60, 45)}, {None}]
    records = []
    for extra in ([], ["--uncropped"]):
        result = _invoke(*common, *extra, "--json", tmp_path / "out.json")
        assert result.exit_code == 0, result.output
        assert ("uncropped" in result.output) is bool(extra)
        records.append(json.loads((tmp_path / "out.json").read_text()))
    assert [record["protocol"]["crops"] for record in records] == ["cropped", "uncropped"]
    assert records[0]["protocol"]["hash"] != records[1]["protocol"]["hash"]
    assert "uncropped" in records[1]["remarks"][0]


def test_distractors_of_a_folder_and_of_r1m(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    write_stand_in("rparis6k", tmp_path)
    write_noise(tmp_path / "revisitop1m" / "jpg", 6)
    (tmp_path / "revisitop1m" / "revisitop1m.txt").write_text("0.jpg\n1.jpg\n2.jpg\n")
    common = [*_pair(teacher, student), "--benchmark", "rparis6k", "--root", tmp_path]
    for folder, count in (("revisitop1m", 3), ("revisitop1m/jpg", 6)):
        result = _invoke(
            *common, "--distractors", tmp_path / folder, "--json", tmp_path / "out.json"
        )
        assert result.exit_code == 0, result.output
        record = json.loads((tmp_path / "out.json").read_text())
        assert record["protocol"]["distractors"] == count


def test_kept_rows_are_used_again(tmp_path: Path, teacher: Bundle, student: Bundle) -> None:
    write_stand_in("inshop", tmp_path)
    command = [
        *_pair(teacher, student), "--benchmark", "inshop", "--root", tmp_path,
        "--vectors", tmp_path / "rows",
    ]  # fmt: skip
    first = _invoke(*command)
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").rglob("*.npy")}
    second = _invoke(*command)
    assert first.exit_code == second.exit_code == 0
    assert len(shards) == 4  # queries and gallery of both
    assert shards == {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").rglob("*.npy")}


def test_missing_ground_truth_and_half_a_data_set_are_refused(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    common = [*_pair(teacher, student), "--benchmark", "roxford5k", "--root", tmp_path]
    empty = _invoke(*common)
    assert isinstance(empty.exception, InvalidDataset)
    write_stand_in("roxford5k", tmp_path)
    next((tmp_path / "test" / "roxford5k" / "jpg").glob("thing1_*.jpg")).unlink()
    half = _invoke(*common)
    assert isinstance(half.exception, InvalidDataset)
    assert "lacks 1 images" in str(half.exception)


def test_bundles_of_two_spaces_are_refused(tmp_path: Path, teacher: Bundle) -> None:
    write_stand_in("cub", tmp_path)
    other = write_tiny_bundle(tmp_path / "other", role="query", space_seed=3)
    result = _invoke(*_pair(teacher, other), "--benchmark", "cub", "--root", tmp_path)
    assert isinstance(result.exception, SpaceMismatch)


def test_a_set_without_boxes_has_nothing_to_leave_uncropped(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    result = _invoke(
        *_pair(teacher, student), "--benchmark", "sop", "--root", tmp_path, "--uncropped"
    )
    assert isinstance(result.exception, InvalidConfiguration)
    assert "have no boxes" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --dataset or --benchmark"),
        (["--dataset", "a", "--benchmark", "cub"], "either --dataset or --benchmark"),
        (["--dataset", "a"], "needs both --gallery and --query"),
        (["--dataset", "a", "--gallery", "g", "--query", "q", "--ranks", "r"], "for --benchmark"),
        (["--benchmark", "cub", "--gallery", "g"], "--benchmark needs --root"),
        (["--benchmark", "cub", "--root", "r"], "--gallery or --query"),
        (["--benchmark", "birds", "--root", "r"], "'roxford5k'"),
        (
            ["--benchmark", "cub", "--root", "r", "--gallery", "g", "--scales", "1"],
            "factors of --image-size",
        ),
        (
            ["--benchmark", "cub", "--root", "r", "--gallery", "g", "--image-size", "64",
             "--scales", "1,half"],
            "expected factors such as",
        ),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_together_are_said(arguments: list[str], message: str) -> None:
    result = _invoke(*arguments)
    assert result.exit_code == 2
    plain = " ".join(result.output.replace("│", " ").split())
    assert message in plain
