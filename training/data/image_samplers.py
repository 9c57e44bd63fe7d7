"""Samplers whose images are compared all with all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from training.data.catalogue import Labelled
from training.data.choice import Images
from training.data.classes import members_of, require_classes
from training.data.shapes import Shapes, evenly
from training.data.specs import (
    BalancedSampling,
    GroupSizeSampling,
    RandomSampling,
    ViewsSampling,
)

SQUARE = 1.0


@dataclass(frozen=True, eq=False)
class ShuffledViews:
    """Every view once an epoch.  The last batch of an epoch may be smaller."""

    count: int
    spec: ViewsSampling
    seed: int

    def __len__(self) -> int:
        """Batches per epoch."""
        return math.ceil(self.count / self.spec.batch_size)

    def mine(self, epoch: int) -> None:
        """Nothing depends on the student."""

    def choices(self, epoch: int, mined: NDArray[np.int64] | None) -> list[Images]:
        """A permutation by (seed, epoch), cut in batches."""
        order = np.random.default_rng((self.seed, epoch)).permutation(self.count).astype(np.int64)
        size = self.spec.batch_size
        return [Images(order[s : s + size], SQUARE) for s in range(0, self.count, size)]


@dataclass(frozen=True, eq=False)
class RandomImages:
    """Every photograph once an epoch, in the epoch's view of it; batches differ by one at most."""

    listing: Labelled
    spec: RandomSampling
    seed: int
    rounds: int

    def __post_init__(self) -> None:
        """Raises `InvalidConfiguration` when all photographs are of one class."""
        require_classes(self.listing, least=2, reason="one class has no negatives")

    def __len__(self) -> int:
        """Batches per epoch."""
        return math.ceil(len(self.listing.paths) / self.spec.batch_size)

    def mine(self, epoch: int) -> None:
        """Nothing depends on the student."""

    def choices(self, epoch: int, mined: NDArray[np.int64] | None) -> list[Images]:
        """A permutation by (seed, epoch), cut evenly."""
        count = len(self.listing.paths)
        order = np.random.default_rng((self.seed, epoch)).permutation(count).astype(np.int64)
        numbers = order + (epoch % self.rounds) * count
        return [Images(part, SQUARE) for part in evenly(numbers, size=self.spec.batch_size)]


@dataclass(frozen=True, eq=False)
class GroupSize:
    """Every photograph once an epoch, in batches of similar aspect."""

    shapes: Shapes
    spec: GroupSizeSampling
    seed: int
    rounds: int

    def __len__(self) -> int:
        """Batches per epoch."""
        return math.ceil(len(self.shapes.nearest) / self.spec.batch_size)

    def mine(self, epoch: int) -> None:
        """Nothing depends on the student."""

    def choices(self, epoch: int, mined: NDArray[np.int64] | None) -> list[Images]:
        """See `Shapes.groups`."""
        count = len(self.shapes.nearest)
        groups = self.shapes.groups(
            np.arange(count, dtype=np.int64),
            size=self.spec.batch_size,
            random=np.random.default_rng((self.seed, epoch)),
        )
        first = (epoch % self.rounds) * count
        return [Images(part + first, aspect) for part, aspect in groups]


@dataclass(frozen=True, eq=False)
class Balanced:
    """Some classes per batch, the same number of photographs of each, all classes in turn.

    A class with fewer photographs than that shows them again, in other views.  So photographs
    without labels, each a class of its own, are sampled by their views, as RAML does.
    """

    listing: Labelled
    spec: BalancedSampling
    seed: int
    rounds: int

    def __post_init__(self) -> None:
        """Raises `InvalidConfiguration` for too few classes, photographs of one, or views."""
        require_classes(self.listing, least=self.spec.classes, reason="a batch has as many")
        sizes = np.bincount(self.listing.labels, minlength=len(self.listing.classes))
        if sizes.min() < 2 <= sizes.max():
            alone = [self.listing.classes[i] for i in np.flatnonzero(sizes < 2)]
            raise InvalidConfiguration(
                f"{len(alone)} classes have one photograph, the first is {alone[0]}: without a "
                "positive they cannot be sampled by class; take them out, or use `name: random`"
            )
        repeats = math.ceil(self.spec.per_class / int(sizes.min()))
        if repeats > self.rounds:
            raise InvalidConfiguration(
                f"the class {self.listing.classes[int(sizes.argmin())]} has {sizes.min()} "
                f"photographs, a batch asks for {self.spec.per_class}: crops.per_photograph must "
                f"be {repeats} at least, so that none is shown twice in the same view"
            )

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.listing.classes) // self.spec.classes

    def mine(self, epoch: int) -> None:
        """Nothing depends on the student."""

    def choices(self, epoch: int, mined: NDArray[np.int64] | None) -> list[Images]:
        """Classes in an order by (seed, epoch); photographs of each drawn without replacement."""
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(len(self.listing.classes))[: len(self) * self.spec.classes]
        members = members_of(self.listing)
        drawn = [self._of_class(members[c], epoch, random) for c in order]
        return [Images(np.concatenate(part), SQUARE) for part in _by(self.spec.classes, drawn)]

    def _of_class(
        self, photographs: NDArray[np.int64], epoch: int, random: np.random.Generator
    ) -> NDArray[np.int64]:
        taken = np.arange(self.spec.per_class)
        again = taken // len(photographs)
        shown = random.permutation(photographs)[taken % len(photographs)]
        # Epochs step through the views, so that each shows others than the one before.
        repeats = math.ceil(self.spec.per_class / len(photographs))
        view = (epoch * repeats + again) % self.rounds
        return (shown + view * len(self.listing.paths)).astype(np.int64)


def _by(size: int, rows: list[NDArray[np.int64]]) -> list[list[NDArray[np.int64]]]:
    return [rows[s : s + size] for s in range(0, len(rows), size)]
