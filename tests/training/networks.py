"""Descriptions of small networks; a test names what matters to it."""

from __future__ import annotations

import copy
import json

from training.models.specs import Network

INPUT = {
    "size_px": 32,
    "resize": "antialiased-bilinear-uint8",
    "aspect": "squash",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
MODEL = {
    "backbone": "test_efficientnet",
    "weights": "none",
    "licence": "none",
    "adapt_dim": None,
    "attention": None,
    "gem_p": 3,
    "head": {"unit_input": True, "bias": True, "dropout": 0, "batch_norm": False},
    "dim": 8,
    "input": INPUT,
}
GLAM = {
    "local_channel": True,
    "local_spatial": True,
    "global_channel": True,
    "global_spatial": True,
    "kernel": 3,
    "reduction": 8,
    "dilations": [1, 2, 3],
}
GLAM_HEAD = {"unit_input": False, "bias": True, "dropout": 0.2, "batch_norm": True}


def network(**changes: object) -> Network:
    """The tiny experiment's network with some keys changed."""
    return Network.model_validate_json(json.dumps(copy.deepcopy(MODEL) | changes))
