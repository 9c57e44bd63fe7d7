"""What a training asks of its surroundings: a teacher, a sound checkpoint, TensorBoard."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lorgnette.errors import InvalidConfiguration, MissingExtra
from tests.training.photographs import write_classes
from tests.training.tiny_experiment import changed, gallery_config, make, student_config
from training.loop import CHECKPOINT_NAME
from training.metrics import BOARD_NAME, METRICS_NAME
from training.runtime import ALONE
from training.student import make_student


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """classes/, with 4 classes of 3 photographs."""
    root = tmp_path_factory.mktemp("ground")
    write_classes(root / "classes", [3, 3, 3, 3])
    return root


def test_a_gallery_model_takes_no_teacher_and_a_query_model_needs_one(
    experiment: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfiguration, match="leave --teacher out"):
        make(gallery_config(), experiment, tmp_path / "a", teacher=experiment / "teacher")
    with pytest.raises(InvalidConfiguration, match="give --teacher"):
        make_student(
            student_config(),
            root=experiment,
            teacher=None,
            out=tmp_path / "b",
            command="tests",
            place=ALONE,
        )


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"older"])
def test_a_damaged_checkpoint_says_the_way_out(
    content: bytes, ground: Path, tmp_path: Path
) -> None:
    config = changed(gallery_config(), schedule={"steps": 1})
    make(config, ground, tmp_path / "out")
    path = tmp_path / "out" / CHECKPOINT_NAME
    if content == b"older":
        torch.save({"step": 1}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InvalidConfiguration, match=r"is not a checkpoint.*delete it"):
        make(config, ground, tmp_path / "out")


def test_tensorboard_gets_the_same_figures(ground: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    config = changed(gallery_config(), schedule={"steps": 1}, running={"tensorboard": True})
    make(config, ground, tmp_path / "out")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "out" / BOARD_NAME))
    events.Reload()
    (point,) = events.Scalars("loss")
    first, *_ = (tmp_path / "out" / METRICS_NAME).read_text().splitlines()
    assert point.value == pytest.approx(json.loads(first)["loss"])


def test_a_missing_tensorboard_names_the_extra(
    ground: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    config = changed(gallery_config(), running={"tensorboard": True})
    with pytest.raises(MissingExtra, match=r"lorgnette-app\[tensorboard\]"):
        make(config, ground, tmp_path / "out")
