"""Every recipe we ship, in small: two steps and one evaluation."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from tests.training.photographs import write_classes
from tests.training.stand_in import (
    CLASSES,
    PER_CLASS,
    PHOTOGRAPHS,
    STEPS,
    small,
    small_but_for_its_network,
)
from tests.training.tiny_experiment import make, teacher_config
from training.config import TrainConfig, load_config
from training.metrics import METRICS_NAME
from training.runtime import run
from training.teacher import make_teacher
from training.trained_model import load_model

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"
RECIPES = sorted(
    path
    for path in CONFIGS.rglob("[!_]*.yaml")
    if not (path.parent == CONFIGS and path.stem.startswith("teacher"))
    and "study" not in path.relative_to(CONFIGS).parts  # tables; see tests/training/study
)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with classes/ and a teacher of 8 dimensions in teacher/."""
    root = tmp_path_factory.mktemp("ground")
    write_classes(root / "classes", [PER_CLASS] * CLASSES)
    config = teacher_config(data=[PHOTOGRAPHS | {"labels": "none"}])
    with run(root / "teacher", threads=1):
        make_teacher(config, root=root, out=root / "teacher", command="tests")
    return root


def _lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / METRICS_NAME).read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_takes_two_steps_and_is_evaluated(
    path: Path, ground: Path, tmp_path: Path
) -> None:
    spec = make(small(load_config(path, TrainConfig)), ground, tmp_path / "out")
    lines = _lines(tmp_path / "out")
    (first, last) = (line for line in lines if "loss" in line)
    (judged,) = (line["val_map"] for line in lines if "val_map" in line)
    assert math.isfinite(first["loss"] + last["loss"])
    assert first["grad_norm"] > 0
    assert 0 < judged <= 1
    embedder, saved = load_model(tmp_path / "out")
    assert saved == spec
    assert spec.provenance.metrics["steps"] == STEPS
    rows = embedder(torch.randn(2, 3, 32, 32))
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(2))
    assert (spec.role == "query") == (spec.space == load_model(ground / "teacher")[1].space)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["glam/global_local", "aml/student_alone_2048"])
def test_a_network_of_full_size_takes_a_real_step(
    recipe: str, ground: Path, tmp_path: Path
) -> None:
    """ResNet101 with all of GLAM and 512 dimensions; EfficientNet-B3 with 2048."""
    config = small_but_for_its_network(load_config(CONFIGS / f"{recipe}.yaml", TrainConfig))
    make(config, ground, tmp_path / "out")
    (line,) = _lines(tmp_path / "out")
    assert math.isfinite(line["loss"])
    assert line["grad_norm"] > 0
    _, spec = load_model(tmp_path / "out")
    assert spec.network.backbone in ("resnet101", "tf_efficientnet_b3")
