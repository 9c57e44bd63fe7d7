"""A configuration made small enough to run in a second, its method untouched.

What stays: role, head, attention, objective (losses, mixing, mining), optimiser, norms, schedule's
decay, whitening's kind.  What is replaced: the backbone by one of 100,000 weights, the data by
generated photographs in class folders, and every size by a small one.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.training.networks import INPUT
from training.config import TrainConfig

CHANNELS = 256
"""Of the small backbone's map."""
CLASSES, PER_CLASS = 5, 5
DIM = 8
STEPS = 2
PHOTOGRAPHS = {"folder": "classes", "splits": None, "role": None, "licence": "generated"}
SMALL: dict[str, int] = {
    "batch_size": 16,
    "classes": 4,
    "per_class": 4,
    "anchors": 8,
    "tuples": 4,
    "negatives": 2,
    "pool": 20,
}


def small(config: TrainConfig) -> TrainConfig:
    """The same experiment in small: two steps, and one evaluation after them."""
    made: dict[str, Any] = copy.deepcopy(config.model_dump(mode="json"))
    made["model"] |= _model(made["model"])
    # Public sets have labels; folders say whether they have.
    labels = made["data"][0]["labels"] if isinstance(made["data"], list) else "folder"
    made["data"] = [PHOTOGRAPHS | {"labels": labels}]
    made["crops"]["per_photograph"] = min(4, made["crops"]["per_photograph"])
    sampling = made["sampling"]
    made["sampling"] = {key: SMALL.get(key, value) for key, value in sampling.items()}
    for term in made["objective"]["terms"]:
        _shrink_term(term)
    made["optimiser"]["frozen"] = []
    made["schedule"] |= {
        "sizes": [{"size_px": 32, "until": 1.0}],
        "steps": STEPS,
        "epochs": None,
        "checkpoint_every_steps": 1,
    }
    made["validation"] = {
        "every_steps": STEPS,
        "data": {"folder": "classes", "splits": None},
        "pairing": "asymmetric" if config.role == "query" else "symmetric",
    }
    if made["whitening"] is not None:
        made["whitening"]["dim"] = 4
        if made["whitening"]["name"] == "lw":
            made["whitening"]["data"] = None
    made["running"] |= {"threads": 1, "batch_size": 16}
    return TrainConfig.model_validate_json(json.dumps(made))


def small_but_for_its_network(config: TrainConfig) -> TrainConfig:
    """One step of the real network, its weights random, on small data and 224 px."""
    made = small(config).model_dump(mode="json")
    made["model"] = config.model.model_dump(mode="json") | {"weights": "none"}
    made["sampling"] |= {key: 3 for key in ("batch_size",) if key in made["sampling"]}
    made["sampling"] |= {key: 1 for key in ("tuples", "anchors") if key in made["sampling"]}
    made["schedule"] |= {"sizes": [{"size_px": 224, "until": 1.0}], "steps": 1}
    made |= {"validation": None, "whitening": None}
    return TrainConfig.model_validate_json(json.dumps(made))


def _model(model: dict[str, Any]) -> dict[str, Any]:
    adapt = None if model["adapt_dim"] is None else DIM
    has_head = model["head"] is not None
    return {
        "backbone": "test_efficientnet",
        "weights": "none",
        "adapt_dim": adapt,
        "dim": DIM if has_head else adapt or CHANNELS,
        "input": INPUT,
    }


def _shrink_term(term: dict[str, Any]) -> None:
    loss, others = term["loss"], term["others"]
    if "nearest" in loss:
        loss["nearest"] = min(4, loss["nearest"])
    if isinstance(others, dict) and others["name"] == "codebooks":
        others |= {"subspaces": 2, "centroids": 4}
    if term.get("mixing") and term["mixing"]["layer"]:
        term["mixing"]["layer"] = "backbone.blocks.4"
