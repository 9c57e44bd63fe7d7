"""Rows of many views from one network, computed once into a cache and resumable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lorgnette.manifest import InputSpec
from training.config import Running
from training.data.loader import Views, batches, in_order
from training.data.row_cache import Binding, RowCache, views_sha256
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.progress import progress_bar
from training.space import embedder_sha256


def cached_embeddings(
    directory: Path, teacher: Embedder, views: Views, *, spec: InputSpec, running: Running
) -> RowCache:
    """The teacher's unit rows `[views, D]`, float16 on disk."""
    binding = Binding(
        kind="embedding",
        network_sha256=embedder_sha256(teacher, spec),
        views_sha256=views_sha256(views.photographs.sha256, views.crops),
        count=len(views),
        dim=teacher.head.out_features,
        dtype="float16",
    )
    cache = RowCache(directory, binding)
    network = with_frozen_norms(teacher)
    _fill(cache, network, views, spec=spec, running=running, task="teacher's vectors")
    return cache


def cached_pooled(
    directory: Path, embedder: Embedder, views: Views, *, spec: InputSpec, running: Running
) -> RowCache:
    """The unit rows before the head `[views, C]`, float32 on disk."""
    binding = Binding(
        kind="pooled",
        network_sha256=embedder_sha256(embedder, spec),
        views_sha256=views_sha256(views.photographs.sha256, views.crops),
        count=len(views),
        dim=embedder.head.in_features,
        dtype="float32",
    )
    cache = RowCache(directory, binding)
    network = with_frozen_norms(embedder)
    _fill(cache, network.pooled, views, spec=spec, running=running, task="pooled features")
    return cache


def _fill(
    cache: RowCache,
    network: Callable[[Tensor], Tensor],
    views: Views,
    *,
    spec: InputSpec,
    running: Running,
    task: str,
) -> None:
    missing = list(cache.missing())
    sizes = {"batch_size": running.batch_size, "size_px": spec.size_px}
    plan = [order for shard in missing for order in in_order(*shard, **sizes)]
    rendered = batches(views, plan, spec=spec)
    with progress_bar() as bar, torch.inference_mode():
        number = bar.add_task(task, total=len(views), completed=cache.done())
        for first, last in missing:
            rows: list[Tensor] = []
            for _ in range(first, last, running.batch_size):
                rows.append(network(next(rendered).images))
                bar.advance(number, len(rows[-1]))
            cache.put(first, np.asarray(torch.cat(rows).numpy()))
