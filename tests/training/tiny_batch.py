"""A student of a few hundred weights, a teacher's rows on disk, and batches of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.data.loader import Batch
from training.data.row_cache import Binding, RowCache
from training.objective_spec import ObjectiveSpec
from training.pairs import Identity

DIM = 8
VIEWS = 40


class TinyStudent(nn.Module):
    """uint8 `[N, 3, 8, 8]` → float32 unit rows `[N, dim]`."""

    def __init__(self, *, dim: int = DIM, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, 4, kernel_size=3, stride=2)
            self.linear = nn.Linear(36, dim)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.tanh(self.conv(images.float() / 127.5 - 1))
        return F.normalize(self.linear(x.flatten(1)), dim=-1)


def teacher_rows(count: int = VIEWS, *, dim: int = DIM, seed: int = 1) -> Tensor:
    """Unit rows `[count, dim]`."""
    random = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, dim, generator=random), dim=-1)


def teacher_cache(directory: Path, *, dim: int = DIM) -> RowCache:
    """`teacher_rows` as a cache."""
    binding = Binding(
        kind="embedding",
        network_sha256="0" * 64,
        views_sha256="0" * 64,
        count=VIEWS,
        dim=dim,
        dtype="float32",
    )
    cache = RowCache(directory, binding)
    for first, _last in list(cache.missing()):
        cache.put(first, teacher_rows(dim=dim).numpy())
    return cache


def images_of(count: int, *, seed: int = 2) -> Tensor:
    """uint8 `[count, 3, 8, 8]`."""
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), generator=random, dtype=torch.uint8)


def batch_of(labels: list[int], *, seed: int = 2) -> Batch:
    """Views 3, 4, 5, … with those labels, compared all with all."""
    who = Identity(ids=torch.arange(len(labels)) + 3, labels=torch.tensor(labels))
    return Batch(
        images=images_of(len(labels), seed=seed),
        who=who,
        anchors=torch.arange(len(labels)),
        others=who,
        used=torch.ones(len(labels), len(labels), dtype=torch.bool),
    )


def tuples_of(labels: list[list[int]]) -> Batch:
    """A tuple a row, anchor first; only the anchors are images, the columns are other views."""
    count, width = len(labels), len(labels[0])
    ids = torch.arange(count * width)
    flat = torch.tensor(labels).reshape(-1)
    anchors = torch.arange(count) * width
    blocks = np.kron(np.eye(count, dtype=bool), np.ones((1, width), dtype=bool))
    return Batch(
        images=images_of(count),
        who=Identity(ids[anchors], flat[anchors]),
        anchors=torch.arange(count),
        others=Identity(ids, flat),
        used=torch.from_numpy(blocks),
    )


def pair_term(**changes: Any) -> dict[str, Any]:
    """A pair term of a configuration: regression, unless changed."""
    return {
        "kind": "pair",
        "weight": 1.0,
        "others": "teacher",
        "self_pair": "only",
        "mining": None,
        "mixing": None,
        "loss": {"name": "regression"},
    } | changes


def relational_term(
    loss: str,
    *,
    others: Any = "student",
    weight: float = 1.0,
    among: str = "batch",
    **parameters: Any,
) -> dict[str, Any]:
    """A relational term of a configuration."""
    return {
        "kind": "relational",
        "weight": weight,
        "others": others if isinstance(others, dict) else {"name": others},
        "among": among,
        "loss": {"name": loss, **parameters},
    }


def mixing(**changes: Any) -> dict[str, Any]:
    """Embedding mixing of a configuration, unless changed."""
    return {
        "where": "embedding",
        "layer": None,
        "pairs": "positive-negative",
        "alpha": 2.0,
        "draw": "pair",
        "per_anchor": 2,
        "weight": 0.4,
    } | changes


def spec_of(*terms: dict[str, Any]) -> ObjectiveSpec:
    """The objective of those terms, as a YAML would give it."""
    return ObjectiveSpec.model_validate_json(json.dumps({"terms": terms}))
