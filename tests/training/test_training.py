"""The whole path on generated photographs: whiten, train, save, load, and go on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from lorgnette.errors import BundleCorrupt, InvalidBundle, InvalidConfiguration, LorgnetteError
from tests.tiny_bundle import write_tiny_bundle
from tests.training.tiny_experiment import STUDENT, make, student_config, teacher_config
from training.averaging import average_into, interpolated
from training.data.catalogue import find_photographs
from training.data.loader import Views
from training.data.row_cache import Binding, RowCache
from training.loop import CHECKPOINT_NAME
from training.metrics import METRICS_NAME
from training.runtime import ALONE, run
from training.space import space_of
from training.teacher import make_teacher
from training.teacher_encoder import open_teacher
from training.trained_model import SPEC_NAME, WEIGHTS_NAME, load_model, save_model

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60


def _lines(run_directory: Path) -> list[dict[str, float]]:
    text = (run_directory / METRICS_NAME).read_text()
    return [json.loads(line) for line in text.splitlines()]


def _weights(run_directory: Path) -> bytes:
    return (run_directory / WEIGHTS_NAME).read_bytes()


def test_a_student_speaks_its_teachers_space_better_after_training(experiment: Path) -> None:
    teacher, teacher_spec = load_model(experiment / "teacher")
    student, student_spec = load_model(experiment / "student")
    assert student_spec.space == teacher_spec.space
    assert (teacher_spec.role, student_spec.role) == ("gallery", "query")
    torch.manual_seed(0)
    images = torch.randn(2, 3, 32, 32)
    for model in (teacher, student):
        torch.testing.assert_close(model(images).norm(dim=1), torch.ones(2))
    lines = _lines(experiment / "student")
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert {
        "step",
        "epoch",
        "loss",
        "lr_factor",
        "grad_norm",
        "seconds",
        "views_per_s",
    } == set(lines[0])


def test_the_models_say_where_they_came_from(experiment: Path) -> None:
    _, spec = load_model(experiment / "student")
    saved = json.loads((experiment / "student" / "config.json").read_text())
    assert spec.provenance.config_sha256 == saved["sha256"]
    assert spec.provenance.git_commit == saved["git_commit"]
    assert spec.provenance.licences == ("weights: none", "photos: generated")
    assert spec.provenance.metrics["photographs"] == 24


def test_the_teachers_learning_rows_are_white_after_it(experiment: Path) -> None:
    """With shrinkage 1 the variances are λ / (λ + λ̄), and nothing is correlated."""
    teacher, spec = load_model(experiment / "teacher")
    config = teacher_config()
    views = Views(find_photographs(experiment, config.data), config.crops)
    binding = json.loads((experiment / "teacher" / "pooled" / "binding.json").read_text())
    cache = RowCache(experiment / "teacher" / "pooled", Binding.model_validate(binding))
    assert binding["count"] == len(views)
    rows = torch.from_numpy(np.concatenate([part for _, part in cache.shards()]))
    whitened = teacher.head(rows).detach().double().numpy()
    covariance = np.cov(whitened, rowvar=False, bias=True)
    off = covariance - np.diag(np.diag(covariance))
    assert np.abs(off).max() < 1e-4
    assert np.all(np.diag(covariance) < 1)
    assert spec.network.dim == 8


def test_the_space_is_named_by_the_function_not_by_the_file(
    experiment: Path, tmp_path: Path
) -> None:
    teacher, spec = load_model(experiment / "teacher")
    assert space_of(teacher, name=spec.name, spec=spec.network.input) == spec.space
    save_model(tmp_path / "copy", teacher.to(memory_format=torch.channels_last), spec)
    again, _ = load_model(tmp_path / "copy")
    assert space_of(again, name=spec.name, spec=spec.network.input) == spec.space
    smaller = spec.network.input.model_copy(update={"size_px": 16})
    assert space_of(again, name=spec.name, spec=smaller) != spec.space
    with torch.no_grad():
        again.head.bias[0] += 1e-3
    assert space_of(again, name=spec.name, spec=spec.network.input) != spec.space


def test_running_again_changes_nothing(experiment: Path) -> None:
    before = _weights(experiment / "student")
    make(student_config(), experiment, experiment / "student")
    assert _weights(experiment / "student") == before


def test_a_killed_training_goes_on_to_the_same_weights_bit_for_bit(
    experiment: Path, tmp_path: Path
) -> None:
    config = tmp_path / "student.yaml"
    config.write_text(json.dumps(STUDENT))
    out = tmp_path / "killed"
    code = "import sys, typer; from training.cli import train; typer.run(train)"
    command = [sys.executable, "-c", code, str(config), "--data", str(experiment)]
    command += ["--teacher", str(experiment / "teacher"), "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + SECONDS
    while not (out / CHECKPOINT_NAME).exists():
        assert process.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / WEIGHTS_NAME).exists(), "it was killed too late to test anything"
    make(student_config(), experiment, out)
    killed = safetensors.torch.load(_weights(out))
    whole = safetensors.torch.load(_weights(experiment / "student"))
    assert all(torch.equal(killed[name], whole[name]) for name in whole)
    steps = [line["step"] for line in _lines(out)]
    assert steps == sorted(set(steps)) == [line["step"] for line in _lines(experiment / "student")]


def test_another_experiment_in_the_same_directory_is_refused(experiment: Path) -> None:
    other = STUDENT["optimiser"] | {"backbone_lr": 5e-4}
    before = (experiment / "student" / "config.json").read_bytes()
    with pytest.raises(InvalidConfiguration, match=r"model\.json and checkpoint\.pt of another"):
        make(student_config(optimiser=other), experiment, experiment / "student")
    assert (experiment / "student" / "config.json").read_bytes() == before


def test_a_teacher_is_not_made_where_a_training_left_its_model(
    experiment: Path, tmp_path: Path
) -> None:
    without = shutil.ignore_patterns("pooled")
    shutil.copytree(experiment / "student", tmp_path / "student", ignore=without)
    weights = _weights(tmp_path / "student")
    with pytest.raises(InvalidConfiguration, match="choose another --out"):
        make_teacher(teacher_config(), root=experiment, out=tmp_path / "student", command="tests")
    assert _weights(tmp_path / "student") == weights


def test_cached_rows_of_another_teacher_are_refused(experiment: Path, tmp_path: Path) -> None:
    make_teacher(
        teacher_config(whitening={"shrinkage": 0.0}),
        root=experiment,
        out=tmp_path / "other",
        command="tests",
    )
    with pytest.raises(InvalidConfiguration, match="network_sha256"):
        make(student_config(), experiment, experiment / "student", teacher=tmp_path / "other")


def test_a_bundle_may_be_the_teacher(experiment: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", role="gallery", dim=8)
    spec = make(student_config(), experiment, tmp_path / "student", teacher=bundle.directory)
    assert spec.space == bundle.space


def test_what_is_no_teacher_is_refused(experiment: Path, tmp_path: Path) -> None:
    query = write_tiny_bundle(tmp_path / "query", role="query", dim=8)
    wide = write_tiny_bundle(tmp_path / "wide", role="gallery", dim=16)
    for directory in (experiment / "student", query.directory, wide.directory):
        with pytest.raises(InvalidConfiguration, match="expected a gallery model of 8"):
            open_teacher(directory, dim=8, threads=1, device=ALONE.device)
    with pytest.raises(InvalidBundle, match="holds no trained model"):
        open_teacher(tmp_path, dim=8, threads=1, device=ALONE.device)


def test_a_changed_byte_of_the_weights_is_noticed(experiment: Path, tmp_path: Path) -> None:
    embedder, spec = load_model(experiment / "teacher")
    save_model(tmp_path, embedder, spec)
    content = bytearray(_weights(tmp_path))
    content[-1] ^= 1
    (tmp_path / WEIGHTS_NAME).write_bytes(content)
    with pytest.raises(BundleCorrupt, match="was changed or half copied"):
        load_model(tmp_path)
    (tmp_path / SPEC_NAME).write_text("{}")
    with pytest.raises(InvalidBundle, match=r"version \(schema_version: Field required\): train"):
        load_model(tmp_path)


def test_a_frozen_module_that_is_not_there_is_named(experiment: Path, tmp_path: Path) -> None:
    absent = STUDENT["optimiser"] | {"frozen": ["blocks.99"]}
    with pytest.raises(InvalidConfiguration, match=r"no module 'blocks\.99'"):
        make(student_config(optimiser=absent), experiment, tmp_path / "out")


def test_two_runs_do_not_share_a_directory(tmp_path: Path) -> None:
    with (
        run(tmp_path, threads=1),
        pytest.raises(LorgnetteError, match="another process"),
        run(tmp_path, threads=1),
    ):
        pass


def test_after_a_run_the_process_computes_as_before(tmp_path: Path) -> None:
    """Whoever imports training as a library keeps its subnormal numbers and its threads."""
    subnormal = torch.tensor(1e-310, dtype=torch.float64)
    threads = torch.get_num_threads()
    with run(tmp_path / "outer", threads=2):
        with run(tmp_path / "inner", threads=3):
            assert torch.get_num_threads() == 3
            assert subnormal + subnormal == 0
        assert torch.get_num_threads() == 2
        assert subnormal + subnormal == 0
    assert torch.get_num_threads() == threads
    assert subnormal + subnormal > 0


def test_averages_and_interpolations_by_hand() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 1.0)
    average = {"weight": torch.zeros(1, 1)}
    average_into(average, layer, decay=0.9, step=0)  # (1 + 0) / (10 + 0) = 0.1 is kept
    assert float(average["weight"]) == pytest.approx(0.9)
    average_into(average, layer, decay=0.5, step=10_000)
    assert float(average["weight"]) == pytest.approx(0.95)
    half = interpolated({"weight": torch.zeros(1, 1)}, average, share=0.5)
    assert float(half["weight"]) == pytest.approx(0.475)
