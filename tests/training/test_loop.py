"""What the loop does beside stepping: accumulation, precision, norms, judging, stopping."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from lorgnette.errors import InvalidConfiguration
from tests.training.photographs import write_classes
from tests.training.tiny_experiment import changed, gallery_config, make, student_config
from training.averaging import State, copied
from training.checkpoint import Best, Progress, load_checkpoint
from training.config import TrainConfig
from training.data.catalogue import find_photographs
from training.data.loader import Views
from training.lesson import Lesson, lesson_of
from training.loop import CHECKPOINT_NAME, Desk, begin, fit
from training.metrics import METRICS_NAME, open_log
from training.models.pretrained import pretrained
from training.runtime import ALONE
from training.trained_model import WEIGHTS_NAME, load_model


@pytest.fixture(scope="module")
def ground(experiment: Path) -> Path:
    """The experiment's folder with classes/, 4 classes of 5, 4, 3 and 2 photographs."""
    write_classes(experiment / "classes", [5, 4, 3, 2])
    return experiment


def _weights(out: Path) -> State:
    return safetensors.torch.load((out / WEIGHTS_NAME).read_bytes())


def _lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / METRICS_NAME).read_text().splitlines()]


def _begun(
    config: TrainConfig, ground: Path, out: Path, judge: Callable[[State], float] | None = None
) -> tuple[Progress, Lesson, Desk]:
    """A gallery model's training before its first step."""
    out.mkdir(exist_ok=True)
    student, _ = pretrained(config.model)
    assert isinstance(config.data, tuple)
    views = Views(find_photographs(ground, config.data), config.crops)
    lesson = lesson_of(student, views, None, config, place=ALONE)
    log = open_log(out, step=0, tensorboard=False)
    desk = Desk(out, "x", log, ALONE, judge, lambda weights, step: None)
    return begin(student, lesson, config), lesson, desk


def test_accumulated_batches_move_the_weights_as_one_large_batch(
    ground: Path, tmp_path: Path
) -> None:
    """Regression is a mean over anchors, and both see the same 16 views an update."""
    plain = changed(student_config(), schedule={"steps": 4})
    large = changed(plain, sampling={"batch_size": 16})
    halves = changed(plain, sampling={"batch_size": 8}, schedule={"accumulate": 2})
    for name, config in (("large", large), ("halves", halves), ("plain", plain)):
        make(config, ground, tmp_path / name)
    whole, parts, other = (_weights(tmp_path / name) for name in ("large", "halves", "plain"))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-4, atol=1e-5)
    assert any(not torch.allclose(other[name], whole[name], atol=1e-4) for name in whole)


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_half_precision_has_nearly_the_same_loss_and_gradient(
    amp: str, ground: Path, tmp_path: Path
) -> None:
    exact = changed(gallery_config(), schedule={"steps": 1})
    lines = []
    for config in (exact, changed(exact, running={"amp": amp})):
        progress, lesson, desk = _begun(config, ground, tmp_path / config.running.amp)
        if amp == "fp16":  # its first scale overflows, which another test is about
            scaled = config.running.amp == "fp16"
            progress.scaler = torch.amp.GradScaler("cpu", init_scale=64.0, enabled=scaled)
        final = fit(progress, lesson, config, desk)
        assert all(t.dtype == torch.float32 for t in final.values() if t.is_floating_point())
        lines += _lines(tmp_path / config.running.amp)
    whole, half = lines
    assert half["loss"] == pytest.approx(whole["loss"], rel=0.02)
    assert half["loss"] != whole["loss"]
    assert half["grad_norm"] == pytest.approx(whole["grad_norm"], rel=0.2)


def test_without_an_average_the_last_weights_are_saved(ground: Path, tmp_path: Path) -> None:
    config = changed(gallery_config(), schedule={"steps": 3}).model_copy(update={"averaging": None})
    make(config, ground, tmp_path / "out")
    record = torch.load(tmp_path / "out" / CHECKPOINT_NAME, weights_only=True)
    saved = _weights(tmp_path / "out")
    assert record["average"] is None
    assert all(torch.equal(record["student"][name], tensor) for name, tensor in saved.items())


@pytest.mark.parametrize(
    ("norms", "scale_moves", "statistics_move"),
    [("frozen", False, False), ("frozen-statistics", True, False), ("trained", True, True)],
)
def test_norms_keep_or_learn_what_the_configuration_says(
    norms: str, scale_moves: bool, statistics_move: bool, ground: Path, tmp_path: Path
) -> None:
    config = changed(gallery_config(), schedule={"steps": 2}, optimiser={"norms": norms})
    progress, lesson, desk = _begun(config, ground, tmp_path)
    before = copied(progress.student)
    fit(progress, lesson, config, desk)
    after = progress.student.state_dict()

    def moved(name: str) -> bool:
        return not torch.equal(before[name], after[name])

    assert moved("backbone.bn2.weight") == scale_moves
    assert moved("backbone.bn2.running_mean") == statistics_move
    assert moved("backbone.bn2.bias")
    assert moved("head_norm.running_mean"), "what follows the backbone trains always"
    assert not moved("backbone.conv_stem.weight"), "frozen by name"


def test_a_frozen_module_keeps_its_statistics_too(ground: Path, tmp_path: Path) -> None:
    config = changed(
        gallery_config(), schedule={"steps": 2}, optimiser={"frozen": ["conv_stem", "bn1"]}
    )
    progress, lesson, desk = _begun(config, ground, tmp_path)
    before = copied(progress.student)
    fit(progress, lesson, config, desk)
    after = progress.student.state_dict()
    assert torch.equal(before["backbone.bn1.running_var"], after["backbone.bn1.running_var"])
    assert not torch.equal(before["backbone.bn2.running_var"], after["backbone.bn2.running_var"])


def test_the_backbone_waits_while_only_the_head_learns(ground: Path, tmp_path: Path) -> None:
    """An epoch has one update here: 4 classes, 3 a batch."""
    waiting = {"steps": 3, "head_only_epochs": 3}
    config = changed(gallery_config(), schedule=waiting, optimiser={"norms": "frozen"})
    progress, lesson, desk = _begun(config, ground, tmp_path)
    before = copied(progress.student)
    fit(progress, lesson, config, desk)
    after = progress.student.state_dict()
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert {"head.weight", "pool.p"} <= moved
    assert not any(name.startswith("backbone.") for name in moved)


def test_the_best_judged_weights_are_the_ones_to_save(ground: Path, tmp_path: Path) -> None:
    validation = {"every_steps": 2, "data": {"folder": "classes", "splits": None}}
    config = gallery_config().model_copy(update={"averaging": None})
    made = config.model_dump(mode="json") | {"validation": validation | {"pairing": "symmetric"}}
    config = changed(TrainConfig.model_validate_json(json.dumps(made)), schedule={"steps": 5})
    seen: list[State] = []

    def judge(weights: State) -> float:
        seen.append(weights)
        return [0.1, 0.5, 0.3][len(seen) - 1]

    progress, lesson, desk = _begun(config, ground, tmp_path, judge)
    final = fit(progress, lesson, config, desk)
    assert len(seen) == 3, "after steps 2, 4 and the last"
    assert all(torch.equal(final[name], tensor) for name, tensor in seen[1].items())
    assert progress.best is not None
    assert (progress.best.score, progress.best.step) == (0.5, 4)
    assert [(line["step"], line["val_map"]) for line in _lines(tmp_path) if "val_map" in line] == [
        (1, 0.1),
        (3, 0.5),
        (4, 0.3),
    ]


def test_the_best_so_far_comes_back_from_a_checkpoint(ground: Path, tmp_path: Path) -> None:
    config = changed(gallery_config(), schedule={"steps": 1})
    progress, lesson, desk = _begun(config, ground, tmp_path)
    progress.best = Best(0.5, 1, copied(progress.student))
    fit(progress, lesson, config, desk)
    again, *_ = _begun(config, ground, tmp_path)
    load_checkpoint(tmp_path / CHECKPOINT_NAME, again, experiment=desk.experiment)
    assert again.best is not None
    assert (again.best.score, again.best.step) == (0.5, 1)
    for name, tensor in progress.best.weights.items():
        assert torch.equal(again.best.weights[name], tensor)


def test_models_are_kept_along_the_way_and_can_be_opened(ground: Path, tmp_path: Path) -> None:
    config = changed(gallery_config(), schedule={"steps": 5, "keep_every_steps": 2})
    make(config, ground, tmp_path / "out")
    kept = sorted((tmp_path / "out" / "kept").iterdir())
    assert [path.name for path in kept] == ["00000002", "00000004"]
    _, spec = load_model(kept[0])
    _, last = load_model(tmp_path / "out")
    assert spec.provenance.metrics["steps"] == 2
    assert spec.space != last.space, "other weights of a gallery model are another space"


@pytest.mark.parametrize(
    "whitening",
    [{"name": "pca", "dim": 4, "shrinkage": 0.0}, {"name": "lw", "dim": 4, "data": None}],
)
def test_a_whitening_learned_at_the_end_becomes_the_head(
    whitening: dict[str, Any], ground: Path, tmp_path: Path
) -> None:
    made = changed(
        gallery_config(), model={"head": None, "adapt_dim": 8, "dim": 8}, schedule={"steps": 2}
    ).model_dump(mode="json")
    config = TrainConfig.model_validate_json(json.dumps(made | {"whitening": whitening}))
    spec = make(config, ground, tmp_path / "out")
    embedder, saved = load_model(tmp_path / "out")
    assert saved == spec
    assert spec.space.dim == spec.network.dim == 4
    assert embedder.linear.weight.shape == (4, 8)
    checkpoint = torch.load(tmp_path / "out" / CHECKPOINT_NAME, weights_only=True)
    adapted = checkpoint["average"][1]["adapt.0.weight"]
    torch.testing.assert_close(embedder.adapt[0].weight.detach(), adapted)


def test_lw_without_two_photographs_of_a_class_is_refused(ground: Path, tmp_path: Path) -> None:
    made = changed(
        gallery_config(),
        model={"head": None, "adapt_dim": 8, "dim": 8},
        sampling={"per_class": 2},
        schedule={"steps": 1},
    ).model_dump(mode="json")
    made["data"][0]["labels"] = "none"
    made["whitening"] = {"name": "lw", "dim": 4, "data": None}
    with pytest.raises(InvalidConfiguration, match="no class has two photographs"):
        make(TrainConfig.model_validate_json(json.dumps(made)), ground, tmp_path / "out")


def test_a_loss_that_is_no_number_names_the_step_and_the_batch(
    ground: Path, tmp_path: Path
) -> None:
    rates = {"backbone_lr": 1e30, "head_lr": 1e30, "gem_lr": 1e30}
    config = changed(student_config(), optimiser=rates, schedule={"checkpoint_every_steps": 1})
    with pytest.raises(InvalidConfiguration) as caught:
        make(config, ground, tmp_path / "out")
    said = str(caught.value)
    found = re.match(r"step (\d+): the (loss|gradient) is (nan|inf)\. ", said)
    assert found, said
    assert "lower the learning rates" in said
    numbers = re.search(r"views \[([\d, ]+)\]", said)
    assert numbers
    first = int(numbers[1].split(",")[0]) % 24
    assert f"{first:03d}.jpg" in said
    record = torch.load(tmp_path / "out" / CHECKPOINT_NAME, weights_only=True)
    assert record["step"] == int(found[1])
    assert all(bool(t.isfinite().all()) for t in record["student"].values())
    assert not (tmp_path / "out" / WEIGHTS_NAME).exists()


def test_an_overflow_in_float16_skips_the_step_and_lowers_the_scale(
    ground: Path, tmp_path: Path
) -> None:
    config = changed(gallery_config(), schedule={"steps": 1}, running={"amp": "fp16"})
    progress, lesson, desk = _begun(config, ground, tmp_path)
    progress.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = copied(progress.student)
    fit(progress, lesson, config, desk)
    assert "grad_norm" not in _lines(tmp_path)[0]
    assert progress.scaler.get_scale() < 2.0**40
    for name, parameter in progress.student.named_parameters():
        assert torch.equal(before[name], parameter), name
