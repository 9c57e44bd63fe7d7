"""Generated photographs and configurations of a few seconds, with a network of 100,000 weights."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.training.networks import MODEL
from tests.training.photographs import CROPS
from training.config import StudentConfig, TeacherConfig

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
    "model": MODEL | {"gem_p": 1},
    "data": DATA,
    "crops": CROPS | {"seed": 1},
    "objective": {"others": "teacher", "self_pair": "only", "loss": {"name": "regression"}},
    "head": {"ridge": 1e-3, "views_per_photograph": 1},
    "optimiser": {
        "frozen": ["conv_stem"],
        "backbone_lr": 1e-3,
        "head_lr": 1e-3,
        "gem_lr": 1e-3,
        "weight_decay": 0.01,
        "betas": [0.9, 0.999],
    },
    "schedule": {
        "sizes": [{"size_px": 24, "until": 0.5}, {"size_px": 32, "until": 1.0}],
        "steps": 18,
        "batch_size": 8,
        "warmup_share": 0.1,
        "final_share": 0.0,
        "seed": 0,
        "checkpoint_every_steps": 4,
    },
    "averaging": {"decay": 0.9, "interpolation": 1.0},
    "running": RUNNING,
}


def teacher_config(**changes: Any) -> TeacherConfig:
    return TeacherConfig.model_validate_json(json.dumps(copy.deepcopy(TEACHER) | changes))


def student_config(**changes: Any) -> StudentConfig:
    return StudentConfig.model_validate_json(json.dumps(copy.deepcopy(STUDENT) | changes))
