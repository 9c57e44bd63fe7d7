"""Killed at any moment and started again: the same weights, bit for bit, whatever is learned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.training.photographs import write_classes
from tests.training.tiny_experiment import gallery_config, make
from training.config import TrainConfig
from training.loop import CHECKPOINT_NAME
from training.metrics import METRICS_NAME
from training.trained_model import WEIGHTS_NAME

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
CODE = "import typer; from training.cli import train; typer.run(train)"


def _everything() -> TrainConfig:
    """All that has a state of its own.

    Tuples mined at an epoch's start, proxies, momentum, dropout, norms that learn, an average, the
    best model so far, the scale of float16, gradients of two batches, snapshots.
    """
    made: dict[str, Any] = gallery_config().model_dump(mode="json")
    made["sampling"] = {
        "name": "mined_tuples",
        "anchors": 12,
        "tuples": 2,
        "negatives": 2,
        "pool": 10,
        "mined_in": "student",
        "columns": "student",
        "aspects": [0.75, 1.0, 1.33],
    }
    made["optimiser"] |= {
        "rule": {"name": "sgd", "momentum": 0.9, "nesterov": True},
        "clip": {"name": "norm", "limit": 1.0},
    }
    made["schedule"] |= {
        "steps": 11,
        "accumulate": 2,
        "checkpoint_every_steps": 4,
        "keep_every_steps": 5,
    }
    made["validation"] = {
        "every_steps": 3,
        "data": {"folder": "classes", "splits": None},
        "pairing": "symmetric",
    }
    made["running"] |= {"amp": "fp16"}
    return TrainConfig.model_validate_json(json.dumps(made))


def _started(ground: Path, out: Path) -> subprocess.Popen[bytes]:
    (ground / "everything.yaml").write_text(_everything().model_dump_json())
    command = [sys.executable, "-c", CODE, str(ground / "everything.yaml"), "--data", str(ground)]
    return subprocess.Popen(
        [*command, "--out", str(out)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _measured(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / METRICS_NAME).read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "views_per_s")} for line in lines
    ]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """classes/, and in whole/ the training that nobody stopped."""
    root = tmp_path_factory.mktemp("ground")
    write_classes(root / "classes", [4, 4, 4, 3])
    make(_everything(), root, root / "whole")
    return root


def test_all_that_has_a_state_is_as_if_nothing_had_happened(ground: Path, tmp_path: Path) -> None:
    """Killed after step 4: an epoch has 3 updates, so its second has begun and was mined."""
    out = tmp_path / "killed"
    process = _started(ground, out)
    deadline = time.monotonic() + SECONDS
    while not (out / CHECKPOINT_NAME).exists():
        assert process.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / WEIGHTS_NAME).exists(), "it was killed too late to test anything"
    record = torch.load(out / CHECKPOINT_NAME, weights_only=True)
    assert record["mined"] is not None
    assert record["step"] % 3 != 0, "killed inside of an epoch"
    make(_everything(), ground, out)
    weights = [safetensors.torch.load_file(d / WEIGHTS_NAME) for d in (out, ground / "whole")]
    assert all(torch.equal(weights[0][name], tensor) for name, tensor in weights[1].items())
    assert _measured(out) == _measured(ground / "whole")
    ends = [torch.load(d / CHECKPOINT_NAME, weights_only=True) for d in (out, ground / "whole")]
    for name, tensor in ends[1]["objective"].items():
        assert torch.equal(ends[0]["objective"][name], tensor)
    assert ends[0]["scaler"] == ends[1]["scaler"]
    kept = [
        safetensors.torch.load_file(d / "kept" / "00000010" / WEIGHTS_NAME)
        for d in (out, ground / "whole")
    ]
    assert all(torch.equal(kept[0][name], tensor) for name, tensor in kept[1].items())
