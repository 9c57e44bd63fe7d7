"""What a training lacks is said before anything slow begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorgnette.errors import InvalidConfiguration, InvalidDataset, LorgnetteError
from tests.training.photographs import write_classes
from tests.training.tiny_experiment import gallery_config
from training.config import TrainConfig
from training.material import material_of
from training.runtime import ALONE
from training.student import make_student

LW = {"name": "lw", "dim": 4, "data": None}
NO_HEAD = {"head": None, "adapt_dim": 8}


def _config(**changes: Any) -> TrainConfig:
    """The tiny gallery model without a head; its weights would have to be fetched."""
    made: dict[str, Any] = gallery_config().model_dump(mode="json")
    made["model"] |= NO_HEAD | {"weights": "timm"}
    return TrainConfig.model_validate_json(json.dumps(made | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_classes(tmp_path / "classes", [3, 2, 2])
    write_classes(tmp_path / "singles", [1, 1, 1])
    return tmp_path


def _folder(name: str) -> dict[str, Any]:
    return gallery_config().model_dump(mode="json")["data"][0] | {"folder": name}


JUDGED = {"every_steps": 1, "pairing": "symmetric"}


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"data": {"public": "sfm120k"}}, InvalidDataset, "`lorgnette data get` fetches it"),
        (
            {"validation": JUDGED | {"data": {"public": "sfm120k-val"}}},
            InvalidDataset,
            "`lorgnette data get` fetches it",
        ),
        (
            {"validation": JUDGED | {"data": {"folder": "singles", "splits": None}}},
            InvalidConfiguration,
            "two photographs or more",
        ),
        (
            {"whitening": LW | {"data": {"public": "sfm120k-whiten"}}},
            InvalidDataset,
            "`lorgnette data get` fetches it",
        ),
        (
            {"whitening": LW, "data": [_folder("singles")]},
            InvalidConfiguration,
            "no class has two photographs",
        ),
    ],
    ids=["training", "validation", "judged by singles", "whitening", "whitened by singles"],
)
def test_what_is_missing_is_said_before_weights_are_fetched(
    changes: dict[str, Any], error: type[LorgnetteError], says: str, root: Path
) -> None:
    with pytest.raises(error, match=says):
        make_student(
            _config(**changes),
            root=root,
            teacher=None,
            out=root / "out",
            command="tests",
            place=ALONE,
        )
    assert not (root / "out").exists()


def test_a_whitening_learns_from_the_training_views_unless_told_otherwise(root: Path) -> None:
    """A whitening without labels too; and there is none where none is asked for."""
    learned = material_of(_config(whitening=LW), root)
    assert learned.whitening is learned.views
    pca = {"name": "pca", "dim": 4, "shrinkage": 0.0}
    learned = material_of(_config(whitening=pca, data=[_folder("singles")]), root)
    assert learned.whitening is learned.views
    assert material_of(_config(), root).whitening is None
    assert material_of(_config(), root).held_out is None


def test_a_query_is_not_relevant_to_itself(root: Path) -> None:
    """Seven photographs of three classes of 3, 2, 2: 6 + 2 + 2 relevant pairs."""
    judged = JUDGED | {"data": {"folder": "classes", "splits": None}}
    held = material_of(_config(validation=judged), root).held_out
    assert held is not None
    assert held.relevant.shape == (7, 7)
    assert held.relevant.sum() == 10
    assert not held.relevant.diagonal().any()
