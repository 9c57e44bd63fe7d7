"""Batches of rendered views, prepared ahead of the network in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorgnette.image import read_image
from training.data.augment import joint_size, render
from training.data.catalogue import Photographs
from training.data.choice import Choice, Images
from training.data.crops import draw_view
from training.data.specs import Crops, uncropped
from training.pairs import Identity

AHEAD = 4
"""Batches prepared ahead, by each thread."""


@dataclass(frozen=True)
class Batch:
    """Images and which of them are compared with what.

    images: uint8 `[N, 3, H, W]`; H and W may differ between batches.  With kept maps, what the
    frozen stages make of them, float32 (`training.frozen_stages`).  who: `[N]`, of the images.
    With several processes `images` holds this one's share of the N.
    anchors: int64 `[A]`, which of the images are anchors.
    others: `[X]`, of the columns.  A student embeds them from the images: then `others is who`.
    A teacher takes them from its cache: any rows, such as those of mined negatives.
    used: bool `[A, X]`, the pairs the sampler allows.
    """

    images: Tensor
    who: Identity
    anchors: Tensor
    others: Identity
    used: Tensor


@dataclass(frozen=True)
class Order:
    """A batch to be: which views, and how many pixels the longer side of the images has.

    share: which of N images are rendered here: all, or the share of one of several processes,
    which knows the identities of the whole batch nevertheless (`training.distributed`).
    """

    choice: Choice
    size_px: int
    share: Callable[[int], slice]


@dataclass(frozen=True)
class Views:
    """All views of the P photographs, in rounds: view v is view v // P of photograph v % P.

    So the first n · P views are n of each photograph, whatever `crops.per_photograph` is, and
    rows cached for n rounds are found under v modulo n · P.
    """

    photographs: Photographs
    crops: Crops

    def __len__(self) -> int:
        return len(self.photographs.paths) * self.crops.per_photograph

    def rounds(self, count: int) -> Views:
        """The views of the first `count` rounds only, with the same numbers."""
        return Views(self.photographs, self.crops.model_copy(update={"per_photograph": count}))

    def whole(self) -> Views:
        """One view of each photograph: all of it, as it is."""
        return Views(self.photographs, uncropped())

    def identity(self, numbers: NDArray[np.int64]) -> Identity:
        """Who the views are: their numbers, and their photographs' labels."""
        labels = self.photographs.labels[numbers % len(self.photographs.paths)]
        return Identity(ids=torch.from_numpy(numbers), labels=torch.from_numpy(labels))

    def batch(self, order: Order) -> Batch:
        """Render the ordered views.  Raises `InvalidImage` if a file changed since."""
        layout = order.choice.layout()
        height, width = joint_size(order.choice.aspect, size_px=order.size_px)
        rendered = layout.images[order.share(len(layout.images))]
        who = self.identity(layout.images)
        return Batch(
            images=self.images(rendered, height=height, width=width),
            who=who,
            anchors=torch.from_numpy(layout.anchors),
            others=who if layout.others is None else self.identity(layout.others),
            used=torch.from_numpy(layout.used),
        )

    def images(self, numbers: NDArray[np.int64], *, height: int, width: int) -> Tensor:
        """Render views by number: uint8 `[N, 3, height, width]`."""
        return torch.stack([self._render(int(v), height=height, width=width) for v in numbers])

    def _render(self, number: int, *, height: int, width: int) -> Tensor:
        paths = self.photographs.paths
        k, photograph = divmod(number, len(paths))
        view = draw_view(self.crops, photograph=photograph, k=k, photographs=len(paths))
        return render(view, lambda i: read_image(paths[i]), height=height, width=width)


def batches(views: Views, plan: Iterable[Order], *, threads: int) -> Iterator[Batch]:
    """The planned batches in order, each rendered while the network works on those before.

    threads: how many are rendered at a time.  Which batches come does not depend on it.
    """
    remaining = iter(plan)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            while True:
                while (
                    len(waiting) < AHEAD * threads and (order := next(remaining, None)) is not None
                ):
                    waiting.append(pool.submit(views.batch, order))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def in_order(first: int, last: int, *, batch_size: int, size_px: int) -> list[Order]:
    """The views first..last - 1, as they are numbered, each squashed to a square."""
    starts = range(first, last, batch_size)
    numbers = (np.arange(s, min(s + batch_size, last), dtype=np.int64) for s in starts)
    return [Order(Images(part, aspect=1), size_px, everything) for part in numbers]


def everything(count: int) -> slice:
    """All of `count` images."""
    return slice(0, count)
