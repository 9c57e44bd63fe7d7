"""The command under torchrun: two processes make the model that one makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.training.photographs import write_classes
from tests.training.tiny_experiment import changed, gallery_config, make, student_config
from training.config import TrainConfig
from training.metrics import METRICS_NAME
from training.trained_model import WEIGHTS_NAME, load_model

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240
CODE = "import typer; from training.cli import train; typer.run(train)"
TUPLES = {
    "name": "mined_tuples",
    "anchors": 12,
    "tuples": 2,
    "negatives": 2,
    "pool": 10,
    "mined_in": "student",
    "columns": "student",
    "aspects": [1.0],
}


@pytest.fixture(scope="module")
def ground(experiment: Path) -> Path:
    write_classes(experiment / "pairs", [4, 4, 4, 3])
    return experiment


def _gallery() -> TrainConfig:
    """Nothing that differs by process: no dropout, no statistics of a batch."""
    made: dict[str, Any] = changed(
        gallery_config(),
        model={"head": {"unit_input": True, "bias": True, "dropout": 0, "batch_norm": False}},
        optimiser={"norms": "frozen", "rule": {"name": "sgd", "momentum": 0.9, "nesterov": False}},
    ).model_dump(mode="json")
    made["data"][0]["folder"] = "pairs"
    made["sampling"] = TUPLES
    validation = {"every_steps": 4, "data": {"folder": "pairs", "splits": None}}
    made["validation"] = validation | {"pairing": "symmetric"}
    return TrainConfig.model_validate_json(json.dumps(made))


@pytest.mark.slow
@pytest.mark.parametrize("role", ["query", "gallery"])
def test_two_processes_make_the_model_of_one(role: str, ground: Path, tmp_path: Path) -> None:
    """A query model with its teacher's cache and ridge head; a gallery model with mined tuples."""
    config = changed(
        student_config() if role == "query" else _gallery(),
        schedule={"steps": 6, "keep_every_steps": 3, "accumulate": 2},
    )
    (tmp_path / "config.yaml").write_text(config.model_dump_json())
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["--no-python", sys.executable, "-c", CODE, str(tmp_path / "config.yaml")]
    command += ["--data", str(ground), "--out", str(tmp_path / "two")]
    command += ["--teacher", str(ground / "teacher")] if role == "query" else []
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    spec = make(config, ground, tmp_path / "one")
    one, two = (safetensors.torch.load_file(tmp_path / n / WEIGHTS_NAME) for n in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5)
    assert (spec.role == "query") == (spec.space == load_model(tmp_path / "two")[1].space)
    lines = [
        [json.loads(line) for line in (tmp_path / n / METRICS_NAME).read_text().splitlines()]
        for n in ("one", "two")
    ]
    assert [line["step"] for line in lines[0]] == [line["step"] for line in lines[1]]
    for alone, together in zip(*lines, strict=True):
        if "loss" in alone:
            assert together["loss"] == pytest.approx(alone["loss"], rel=1e-4)
