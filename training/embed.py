"""Rows of many views from one network, computed once into a cache and resumable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lorgnette.manifest import InputSpec
from lorgnette.vectors import Vectors
from training.config import Running
from training.data.augment import normalise
from training.data.loader import Views, batches, in_order
from training.data.row_cache import Binding, RowCache, views_sha256
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.progress import progress_bar
from training.space import embedder_sha256
from training.teacher_encoder import TeacherEncoder


def cached_embeddings(
    directory: Path, teacher: TeacherEncoder, views: Views, *, running: Running
) -> RowCache:
    """The teacher's unit rows `[views, D]`, float16 on disk."""
    binding = Binding(
        kind="embedding",
        network_sha256=teacher.sha256,
        views_sha256=views_sha256(views.photographs.sha256, views.crops),
        count=len(views),
        dim=teacher.space.dim,
        dtype="float16",
    )
    cache = RowCache(directory, binding)
    _fill(cache, teacher.embed, views, running, size_px=teacher.size_px, task="teacher's vectors")
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
        dim=embedder.pooled_dim,
        dtype="float32",
    )
    cache = RowCache(directory, binding)
    network = with_frozen_norms(embedder).to(memory_format=torch.channels_last)

    def pooled(images: Tensor) -> Vectors:
        with torch.inference_mode():
            rows: Vectors = network.pooled(normalise(images, spec)).numpy()
        return rows

    _fill(cache, pooled, views, running, size_px=spec.size_px, task="pooled features")
    return cache


def _fill(
    cache: RowCache,
    embed: Callable[[Tensor], Vectors],
    views: Views,
    running: Running,
    *,
    size_px: int,
    task: str,
) -> None:
    missing = list(cache.missing())
    per_shard = [
        in_order(first, last, batch_size=running.batch_size, size_px=size_px)
        for first, last in missing
    ]
    rendered = batches(views, [order for orders in per_shard for order in orders])
    with progress_bar() as bar:
        number = bar.add_task(task, total=len(views), completed=cache.done())
        for (first, _), orders in zip(missing, per_shard, strict=True):
            rows: list[Vectors] = []
            for _ in orders:
                rows.append(embed(next(rendered).images))
                bar.advance(number, len(rows[-1]))
            cache.put(first, np.concatenate(rows))
