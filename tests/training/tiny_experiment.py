"""Generated photographs and configurations of a few seconds, with a network of 100,000 weights."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tests.training.networks import MODEL
from tests.training.photographs import CROPS
from training.config import TeacherConfig, TrainConfig
from training.runtime import run
from training.student import make_student
from training.trained_model import ModelSpec

DATA = [
    {"folder": "photos", "splits": None, "role": None, "labels": "none", "licence": "generated"}
]
RUNNING = {"threads": 1, "batch_size": 8}
TEACHER: dict[str, Any] = {
    "name": "tiny-teacher",
    "model": MODEL,
    "data": DATA,
    "crops": CROPS,
    "whitening": {"shrinkage": 1.0},
    "running": RUNNING,
}
STUDENT: dict[str, Any] = {
    "name": "tiny-student",
    "role": "query",
    "model": MODEL | {"gem_p": 1},
    "data": DATA,
    "crops": CROPS | {"seed": 1},
    "sampling": {"name": "views", "batch_size": 8},
    "objective": {
        "terms": [
            {
                "kind": "pair",
                "weight": 1.0,
                "others": "teacher",
                "self_pair": "only",
                "mining": None,
                "mixing": None,
                "loss": {"name": "regression"},
            }
        ]
    },
    "head": {"ridge": 1e-3, "views_per_photograph": 1},
    "optimiser": {
        "rule": {"name": "adamw", "betas": [0.9, 0.999]},
        "frozen": ["conv_stem"],
        "norms": "frozen",
        "backbone_lr": 1e-3,
        "head_lr": 1e-3,
        "gem_lr": 1e-3,
        "proxies_lr": None,
        "weight_decay": 0.01,
        "clip": None,
    },
    "schedule": {
        "sizes": [{"size_px": 24, "until": 0.5}, {"size_px": 32, "until": 1.0}],
        "steps": 18,
        "epochs": None,
        "accumulate": 1,
        "head_only_epochs": 0,
        "warmup_share": 0.1,
        "decay": {"name": "cosine", "final_share": 0.0},
        "seed": 0,
        "checkpoint_every_steps": 4,
        "keep_every_steps": None,
    },
    "averaging": {"decay": 0.9, "interpolation": 1.0},
    "validation": None,
    "whitening": None,
    "running": RUNNING | {"amp": "none", "tensorboard": False},
}


def teacher_config(**changes: Any) -> TeacherConfig:
    return TeacherConfig.model_validate_json(json.dumps(copy.deepcopy(TEACHER) | changes))


def student_config(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate_json(json.dumps(copy.deepcopy(STUDENT) | changes))


def make(config: TrainConfig, root: Path, out: Path, *, teacher: Path | None = None) -> ModelSpec:
    """Train as the command would; a query model's teacher is `root/teacher` unless given."""
    if config.role == "query" and teacher is None:
        teacher = root / "teacher"
    with run(out, threads=1) as place:
        return make_student(
            config, root=root, teacher=teacher, out=out, command="tests", place=place
        )


def changed(config: TrainConfig, **changes: dict[str, Any]) -> TrainConfig:
    """The configuration with some keys of its parts changed."""
    made = config.model_dump(mode="json")
    for part, keys in changes.items():
        made[part] = made[part] | keys
    return TrainConfig.model_validate_json(json.dumps(made))


def gallery_config() -> TrainConfig:
    """A model that makes its own space, from classes: symmetric contrastive, and ArcFace."""
    term = {"kind": "pair", "weight": 1.0, "self_pair": "ignore", "mining": None, "mixing": None}
    contrastive = {"name": "contrastive", "margin_cosine": 0.5}
    arcface = {"name": "arcface", "scale": 16.0, "margin_radians": 0.3}
    head = {"unit_input": False, "bias": True, "dropout": 0.2, "batch_norm": True}
    made = copy.deepcopy(STUDENT) | {
        "name": "tiny-gallery",
        "role": "gallery",
        "model": MODEL | {"head": head},
        "data": [DATA[0] | {"folder": "classes", "labels": "folder"}],
        "crops": CROPS | {"joined_share": 0.0},
        "sampling": {"name": "balanced", "classes": 3, "per_class": 3},
        "objective": {
            "terms": [
                term | {"others": "student", "loss": contrastive},
                term | {"others": "proxies", "loss": arcface, "weight": 0.1},
            ]
        },
        "head": None,
    }
    made["optimiser"] |= {"proxies_lr": 1e-2, "norms": "trained"}
    return TrainConfig.model_validate_json(json.dumps(made))
