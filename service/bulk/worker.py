"""One worker of a bulk embedding: decodes, shrinks and embeds the photographs of a shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.bundle import Bundle
from lorgnette.encoder import GOLDEN_MIN_COSINE, INPUT_NAME, open_graph
from lorgnette.errors import GoldenMismatch, InvalidInput
from lorgnette.image import read_pixels
from lorgnette.vectors import Vectors, unit_rows
from service.bulk import shards
from service.gallery.scan import Photograph, Skipped

BATCH = 4
"""Rows in one run of the network. Fixed: what a row is may depend on it in the last bit."""

Pixels = NDArray[np.float32]
"""`[N, 3, S, S]` float32: what the network takes."""


class Stopped(Exception):
    """The work was called off."""


@dataclass(frozen=True)
class Work:
    """What there is to embed. photographs: all of them, in order of id."""

    teacher: Path
    out: Path
    photographs: tuple[Photograph, ...]
    per_shard: int
    max_pixels: int

    def of(self, shard: int) -> tuple[Photograph, ...]:
        """The photographs of a shard."""
        return self.photographs[shard * self.per_shard : (shard + 1) * self.per_shard]


@dataclass(frozen=True)
class Done:
    """A written shard. photographs: how many were looked at, in took_s seconds."""

    shard: int
    photographs: int
    took_s: float


def never() -> bool:
    """Ask nobody whether to stop."""
    return False


class Worker:
    """Embeds shards with `threads` threads, each of which decodes a batch and then embeds it.

    So one thread's decoding overlaps with another's inference, and no thread waits for one of
    another kind. Pixels come from `read_pixels` and `pre.onnx`, as an `Encoder`'s do.

    Raises `InvalidBundle` for a teacher without `net` and `pre`, `GoldenMismatch` when this
    machine does not reproduce its golden vectors.
    """

    def __init__(
        self, work: Work, *, threads: int = 1, is_stopped: Callable[[], bool] = never
    ) -> None:
        bundle = Bundle.open(work.teacher)
        self._work = work
        self._is_stopped = is_stopped
        self._dim = bundle.space.dim
        self._pre = open_graph(bundle.file("pre"), threads=1)
        self._net = open_graph(bundle.file("net"), threads=1)
        self._net_input = self._net.get_inputs()[0].name
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="embed")
        self._check(bundle)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, shard: int) -> Done:
        """Embed a shard and write it. Raises `Stopped`, `DiskFull`."""
        started = time.monotonic()
        photographs = self._work.of(shard)
        batches = [photographs[n : n + BATCH] for n in range(0, len(photographs), BATCH)]
        rows: list[Vectors] = [np.empty((0, self._dim), np.float32)]
        ids: list[str] = []
        skipped: list[Skipped] = []
        for batch, (embedded, broken) in zip(
            batches, self._pool.map(self._embed, batches), strict=True
        ):
            unread = {entry.name for entry in broken}
            ids += [photo.id for photo in batch if photo.id not in unread]
            rows.append(embedded)
            skipped += broken
        shards.write(self._work.out, shard, np.concatenate(rows), ids, skipped)
        return Done(shard, len(photographs), time.monotonic() - started)

    def _embed(self, batch: Sequence[Photograph]) -> tuple[Vectors, list[Skipped]]:
        pixels: list[Pixels] = []
        skipped: list[Skipped] = []
        for photo in batch:
            if self._is_stopped():
                raise Stopped
            try:
                pixels.append(
                    self.prepared(read_pixels(photo.path, max_pixels=self._work.max_pixels))
                )
            except InvalidInput as error:
                skipped.append(Skipped(photo.id, str(error)))
        if not pixels:
            return np.empty((0, self._dim), np.float32), skipped
        return self.embedded(np.concatenate(pixels)), skipped

    def prepared(self, image: NDArray[np.uint8]) -> Pixels:
        """One photograph `[H, W, 3]` as the network takes it: `[1, 3, S, S]`."""
        (pixels,) = self._pre.run(None, {INPUT_NAME: image})
        found: Pixels = pixels
        return found

    def embedded(self, pixels: Pixels) -> Vectors:
        """Unit rows `[N, D]` of `[N, 3, S, S]`."""
        (rows,) = self._net.run(None, {self._net_input: pixels})
        return unit_rows(rows, dim=self._dim)

    def _check(self, bundle: Bundle) -> None:
        floor = GOLDEN_MIN_COSINE["fp16"]
        for case in bundle.golden():
            cosine = float(self.embedded(self.prepared(case.pixels))[0] @ case.vector[0])
            if not cosine >= floor:
                raise GoldenMismatch(
                    f"{bundle.manifest.name} (pre and net) gives cosine {cosine:.6f} on "
                    f"{case.name}, expected at least {floor}: the runtime on this machine "
                    "computes something else; use another ONNX Runtime version"
                )
