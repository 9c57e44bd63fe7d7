"""Training that begins after the frozen stages is the training it stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lorgnette.errors import InvalidConfiguration
from tests.training.photographs import write_classes
from tests.training.tiny_experiment import changed, gallery_config, student_config
from training.config import TrainConfig
from training.frozen_stages import after_frozen, split
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.runtime import ALONE
from training.student import Kept, make_student
from training.trained_model import load_model

ONE_SIZE = {"sizes": [{"size_px": 32, "until": 1.0}], "steps": 6}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """classes/, with 4 classes of 3 photographs."""
    root = tmp_path_factory.mktemp("ground")
    write_classes(root / "classes", [3, 3, 3, 3])
    return root


def late(config: TrainConfig, *frozen: str) -> TrainConfig:
    stages = ["conv_stem", "bn1", *frozen]
    return changed(config, schedule=ONE_SIZE, optimiser={"frozen": stages})


def made(config: TrainConfig, root: Path, out: Path, kept: Kept, teacher: Path | None) -> Embedder:
    make_student(
        config, root=root, teacher=teacher, out=out, command="tests", place=ALONE, kept=kept
    )
    return load_model(out)[0]


@pytest.mark.parametrize("norms", ["frozen", "frozen-statistics", "trained"])
def test_a_student_learns_from_maps_what_it_learns_from_images(
    norms: str, experiment: Path, tmp_path: Path
) -> None:
    # Not Adam, which makes a step of every rounding error.
    rule = {"name": "sgd", "momentum": 0.9, "nesterov": False}
    late_stages = late(student_config(), "blocks.0")
    config = changed(late_stages, optimiser={"norms": norms, "rule": rule, "backbone_lr": 0.1})
    kept = Kept(tmp_path / "kept", has_maps=True)
    teacher = experiment / "teacher"
    plain = made(config, experiment, tmp_path / "plain", Kept(None, has_maps=False), teacher)
    short = made(config, experiment, tmp_path / "short", kept, teacher)
    for (name, expected), found in zip(
        plain.state_dict().items(), short.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4, msg=name)


def test_runs_share_what_they_keep(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, kept = late(student_config()), Kept(tmp_path / "kept", has_maps=True)
    made(config, experiment, tmp_path / "first", kept, experiment / "teacher")
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "kept").rglob("rows-*.npy")}
    other = changed(config, schedule={"seed": 5})
    made(other, experiment, tmp_path / "second", kept, experiment / "teacher")
    again = {p: p.stat().st_mtime_ns for p in (tmp_path / "kept").rglob("rows-*.npy")}
    kinds = {path.parent.name.split("-")[0] for path in written}
    assert written == again
    assert kinds == {"embedding", "pooled", "maps"}
    assert not (tmp_path / "second" / "teacher").exists()


def test_the_two_halves_are_the_backbone(ground: Path) -> None:
    network = Embedder(late(gallery_config()).model).eval()
    x = torch.randn(2, 3, 40, 32, generator=torch.Generator().manual_seed(0))
    view = with_frozen_norms(network)
    stem, _ = split(view, ["conv_stem", "bn1", "blocks.0"])
    with torch.inference_mode():
        found = after_frozen(view, ["conv_stem", "bn1", "blocks.0"])(stem(x))
        torch.testing.assert_close(found, network(x))
    assert view.backbone is not after_frozen(view, ["conv_stem"]).backbone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": {"frozen": []}}, "first stage"),
        ({"optimiser": {"frozen": ["blocks.0"]}}, "first stage"),
        (
            {"schedule": {"sizes": [{"size_px": 24, "until": 0.5}, {"size_px": 32, "until": 1.0}]}},
            "2 sizes",
        ),
        ({"running": {"amp": "int8"}}, "int8"),
    ],
)
def test_what_needs_the_images_is_refused(
    changes: dict[str, Any], message: str, experiment: Path, tmp_path: Path
) -> None:
    config = changed(late(student_config()), **changes)
    with pytest.raises(InvalidConfiguration, match=message):
        made(
            config,
            experiment,
            tmp_path / "out",
            Kept(None, has_maps=True),
            experiment / "teacher",
        )


def test_mixed_images_are_refused(ground: Path, tmp_path: Path) -> None:
    config = late(gallery_config())
    first = config.objective.terms[0].model_dump(mode="json")
    mixing = {
        "where": "input",
        "layer": None,
        "pairs": "either",
        "alpha": 2.0,
        "draw": "batch",
        "per_anchor": 1,
        "weight": 0.4,
    }
    mixed = changed(
        config, objective={"terms": [first | {"mixing": mixing}]}, optimiser={"proxies_lr": None}
    )
    with pytest.raises(InvalidConfiguration, match="mixes images"):
        made(mixed, ground, tmp_path / "out", Kept(None, has_maps=True), None)


def test_maps_are_of_squares_alone(ground: Path, tmp_path: Path) -> None:
    record = late(gallery_config()).model_dump(mode="json")
    record["sampling"] = {"name": "group_size", "batch_size": 4, "aspects": [2.0]}
    grouped = TrainConfig.model_validate_json(json.dumps(record))
    with pytest.raises(InvalidConfiguration, match="aspect 2"):
        made(grouped, ground, tmp_path / "out", Kept(None, has_maps=True), None)


def test_a_run_of_its_own_keeps_its_maps_with_it(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made(
        late(student_config()),
        experiment,
        out,
        Kept(None, has_maps=True),
        experiment / "teacher",
    )
    assert list((out / "maps").glob("maps-*/rows-*.npy"))
