"""Batches of rendered views, prepared ahead of the network by one background thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorgnette.image import read_image
from training.data.augment import render
from training.data.catalogue import Photographs
from training.data.crops import draw_view
from training.data.specs import Crops
from training.pairs import Identity

AHEAD = 4
"""Batches prepared ahead."""


@dataclass(frozen=True)
class Batch:
    """images: uint8 `[N, 3, S, S]`.  who: view numbers, and the photograph as label."""

    images: Tensor
    who: Identity


@dataclass(frozen=True)
class Views:
    """All views of the P photographs, in rounds: view v is view v // P of photograph v % P.

    So the first n · P views are n of each photograph, whatever `crops.per_photograph` is.
    """

    photographs: Photographs
    crops: Crops

    def __len__(self) -> int:
        return len(self.photographs.paths) * self.crops.per_photograph

    def rounds(self, count: int) -> Views:
        """The views of the first `count` rounds only, with the same numbers."""
        return Views(self.photographs, self.crops.model_copy(update={"per_photograph": count}))

    def batch(self, order: Order) -> Batch:
        """Render the ordered views.  Raises `InvalidImage` if a file changed since."""
        images = torch.stack([self._render(int(v), order.size_px) for v in order.numbers])
        ids = torch.from_numpy(order.numbers)
        labels = torch.from_numpy(order.numbers % len(self.photographs.paths))
        return Batch(images=images, who=Identity(ids=ids, labels=labels))

    def _render(self, number: int, size_px: int) -> Tensor:
        paths = self.photographs.paths
        k, photograph = divmod(number, len(paths))
        view = draw_view(self.crops, photograph=photograph, k=k, photographs=len(paths))
        return render(view, lambda i: read_image(paths[i]), size_px=size_px)


@dataclass(frozen=True)
class Order:
    """A batch to be: which views, int64 `[N]`, at which size."""

    numbers: NDArray[np.int64]
    size_px: int


def batches(views: Views, plan: Iterable[Order]) -> Iterator[Batch]:
    """The planned batches in order, each rendered while the network works on those before."""
    remaining = iter(plan)
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            while True:
                while len(waiting) < AHEAD and (order := next(remaining, None)) is not None:
                    waiting.append(pool.submit(views.batch, order))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def in_order(first: int, last: int, *, batch_size: int, size_px: int) -> list[Order]:
    """The views first..last - 1, as they are numbered."""
    starts = range(first, last, batch_size)
    return [Order(np.arange(s, min(s + batch_size, last), dtype=np.int64), size_px) for s in starts]


def shuffled(count: int, *, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """One epoch over `count` views: a permutation by (seed, epoch), cut in batches."""
    order = np.random.default_rng((seed, epoch)).permutation(count).astype(np.int64)
    return [order[s : s + batch_size] for s in range(0, count, batch_size)]
