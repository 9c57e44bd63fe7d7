"""Rows of many views from one network, computed once into a cache and resumable."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorgnette.image import read_image
from lorgnette.manifest import InputSpec
from lorgnette.vectors import Vectors
from training.config import Running
from training.data.augment import normalise, squash
from training.data.choice import Images
from training.data.loader import Order, Views, batches, everything, in_order
from training.data.row_cache import Binding, RowCache, views_sha256
from training.data.shapes import Shapes
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.progress import progress_bar
from training.runtime import LOCK_NAME
from training.space import embedder_sha256
from training.teacher_encoder import TeacherEncoder

Home = Callable[[Binding], Path]
"""Where rows are kept, by what they are of: a run's own directory, or one that runs share."""


def cached_embeddings(
    home: Home, teacher: TeacherEncoder, views: Views, *, running: Running
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
    cache = RowCache(home(binding), binding)
    fill(cache, teacher.embed, views, running, size_px=teacher.size_px, task="teacher's vectors")
    return cache


def cached_pooled(
    home: Home, embedder: Embedder, views: Views, *, spec: InputSpec, running: Running
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
    cache = RowCache(home(binding), binding)
    network = with_frozen_norms(embedder).to(memory_format=torch.channels_last)

    device = next(network.parameters()).device

    def pooled(images: Tensor) -> Vectors:
        with torch.inference_mode():
            rows: Vectors = network.pooled(normalise(images.to(device), spec)).cpu().numpy()
        return rows

    fill(cache, pooled, views, running, size_px=spec.size_px, task="pooled features")
    return cache


def embedded_photographs(
    embed: Callable[[Tensor], Vectors],
    views: Views,
    photographs: NDArray[np.int64],
    *,
    shapes: Shapes,
    size_px: int,
    running: Running,
) -> Vectors:
    """Rows `[N, D]` of whole photographs `[N]`, as a network is now: to mine with, not cached.

    embed: uint8 `[n, 3, H, W]` → `[n, D]`.  Each batch is of one shape; the longer side is size_px.
    """
    groups = shapes.alike(photographs, size=running.batch_size)
    plan = [Order(Images(photographs[p], aspect), size_px, everything) for p, aspect in groups]
    rendered = batches(views.whole(), plan, threads=running.threads)
    rows = np.concatenate([embed(batch.images) for batch in rendered])
    return rows[np.argsort(np.concatenate([places for places, _ in groups]))]


def rows_by(network: Embedder) -> Callable[[Tensor], Vectors]:
    """Unit rows `[N, D]` of uint8 images `[N, 3, S, S]` from a network in evaluation mode."""
    place = next(network.parameters()).device

    def embed(images: Tensor) -> Vectors:
        prepared = normalise(images.to(place), network.network.input)
        with torch.inference_mode():
            rows: Vectors = network(prepared).cpu().numpy()
        return rows

    return embed


def embed_whole(
    paths: Sequence[Path],
    embed: Callable[[Tensor], Vectors],
    *,
    size_px: int,
    batch_size: int,
) -> Vectors:
    """Unit rows `[N, D]` of whole photographs.  Raises `InvalidImage` for a broken one."""
    rows = []
    for begin in range(0, len(paths), batch_size):
        chunk = paths[begin : begin + batch_size]
        images = [squash(read_image(path), height=size_px, width=size_px) for path in chunk]
        rows.append(embed(torch.stack(images)))
    return np.concatenate(rows)


def fill(
    cache: RowCache,
    embed: Callable[[Tensor], Vectors],
    views: Views,
    running: Running,
    *,
    size_px: int,
    task: str,
) -> None:
    """Embed the views whose rows are not in the cache yet, squashed to squares of size_px.

    One process at a time fills a cache; another waits, and finds it filled.
    """
    with _one_at_a_time(cache.directory):
        missing = list(cache.missing())
        per_shard = [
            in_order(first, last, batch_size=running.batch_size, size_px=size_px)
            for first, last in missing
        ]
        plan = [order for orders in per_shard for order in orders]
        rendered = batches(views, plan, threads=running.threads)
        with progress_bar() as bar:
            number = bar.add_task(task, total=len(views), completed=cache.done())
            for (first, _), orders in zip(missing, per_shard, strict=True):
                rows: list[Vectors] = []
                for _ in orders:
                    rows.append(embed(next(rendered).images))
                    bar.advance(number, len(rows[-1]))
                cache.put(first, np.concatenate(rows))


@contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    with (directory / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
