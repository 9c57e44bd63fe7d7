"""The pair in `models/`: small, of one space, and nearly as good light as heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder

MODELS = Path(__file__).resolve().parents[1] / "models"


@pytest.fixture(scope="module")
def pair() -> tuple[Bundle, Bundle]:
    return Bundle.open(MODELS / "teacher"), Bundle.open(MODELS / "student")


def test_it_is_one_gallery_and_one_query_model_of_one_space(pair: tuple[Bundle, Bundle]) -> None:
    teacher, student = pair
    assert (teacher.manifest.role, student.manifest.role) == ("gallery", "query")
    assert teacher.space == student.space
    assert teacher.space.dim == 512


def test_it_is_at_most_forty_megabytes() -> None:
    total = sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file())
    assert total <= 40_000_000


def test_every_encoder_reproduces_its_golden_vectors_here(pair: tuple[Bundle, Bundle]) -> None:
    for bundle in pair:
        for variant in {"fp16", "fp32", "int8"} & set(bundle.manifest.files):
            Encoder(bundle, variant=variant).check()


def test_it_says_what_it_was_trained_on_and_that_holds_no_benchmark(
    pair: tuple[Bundle, Bundle],
) -> None:
    for bundle in pair:
        data = " ".join(bundle.manifest.provenance.data)
        assert "caltech101_sample" in data
        assert "pool" in data
        assert "grocery_packages" not in data
        assert bundle.manifest.provenance.licences


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "floor"), [("caltech101_sample", 0.90), ("grocery_packages", 0.65)]
)
def test_the_light_query_is_nearly_as_good_as_the_heavy_one(
    dataset: str, floor: float, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "figures.json"
    folder = photographs / dataset
    arguments = ["--gallery", MODELS / "teacher", "--query", MODELS / "student"]
    arguments += ["--dataset", folder, "--splits", folder / "splits.tsv", "--json", out]
    command = [sys.executable, "-m", "lorgnette", "evaluate", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert figures["scores"]["student_to_teacher"]["mean_ap_ratio"] >= floor, done.stdout
