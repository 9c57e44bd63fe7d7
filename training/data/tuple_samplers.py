"""Samplers of tuples: an anchor, a positive, and negatives of other classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from training.data.catalogue import Labelled
from training.data.choice import Tuples
from training.data.classes import members_of, require_classes
from training.data.mined_tuples import hardest_negatives, random_negatives
from training.data.shapes import Shapes
from training.data.specs import MinedTuplesSampling, RandomTuplesSampling

TuplesSampling = RandomTuplesSampling | MinedTuplesSampling

# Streams of random numbers that share (seed, epoch).
_PAIRS, _NEGATIVES, _BATCHES = range(3)


@dataclass(frozen=True)
class Pool:
    """Who embeds the anchors and who the pool: unit rows `[N, D]` of photographs `[N]`."""

    anchors: Callable[[NDArray[np.int64]], Vectors]
    others: Callable[[NDArray[np.int64]], Vectors]


@dataclass(frozen=True, eq=False)
class RandomTuples:
    """Tuples with negatives at random."""

    listing: Labelled
    shapes: Shapes
    spec: RandomTuplesSampling
    seed: int
    rounds: int

    def __post_init__(self) -> None:
        """Raises `InvalidConfiguration` when there are too few classes or pairs."""
        require_tuples(self.listing, self.spec)

    def __len__(self) -> int:
        """Batches per epoch."""
        return math.ceil(self.spec.anchors / self.spec.tuples)

    def mine(self, epoch: int) -> None:
        """Nothing depends on the student."""

    def choices(self, epoch: int, mined: NDArray[np.int64] | None) -> list[Tuples]:
        """Anchors, positives and negatives by (seed, epoch)."""
        pairs = draw_pairs(self.listing, self.spec.anchors, seed=self.seed, epoch=epoch)
        negatives = random_negatives(
            anchor_labels=self.listing.labels[pairs[:, 0]],
            labels=self.listing.labels,
            count=self.spec.negatives,
            random=np.random.default_rng((self.seed, epoch, _NEGATIVES)),
        )
        members = np.hstack([pairs, negatives])
        random = np.random.default_rng((self.seed, epoch, _BATCHES))
        return batched(members, self.shapes, self.spec, random=random, k=epoch % self.rounds)


@dataclass(frozen=True, eq=False)
class MinedTuples:
    """Tuples with the hardest negatives of a pool, as the student sees them at an epoch's start."""

    listing: Labelled
    shapes: Shapes
    spec: MinedTuplesSampling
    pool: Pool
    seed: int
    rounds: int

    def __post_init__(self) -> None:
        """Raises `InvalidConfiguration` when there are too few classes or pairs."""
        require_tuples(self.listing, self.spec)

    def __len__(self) -> int:
        """Batches per epoch."""
        return math.ceil(self.spec.anchors / self.spec.tuples)

    def mine(self, epoch: int) -> NDArray[np.int64]:
        """Embed anchors and pool now, and choose: int64 `[Q, 2 + n]` photographs."""
        labels = self.listing.labels
        pairs = draw_pairs(self.listing, self.spec.anchors, seed=self.seed, epoch=epoch)
        random = np.random.default_rng((self.seed, epoch, _NEGATIVES))
        size = min(self.spec.pool, len(labels))
        pool = random.choice(len(labels), size=size, replace=False).astype(np.int64)
        found = hardest_negatives(
            self.pool.anchors(pairs[:, 0]),
            self.pool.others(pool),
            anchor_labels=labels[pairs[:, 0]],
            pool_labels=labels[pool],
            count=self.spec.negatives,
        )
        return np.hstack([pairs, pool[found]])

    def choices(self, epoch: int, mined: NDArray[np.int64] | None) -> list[Tuples]:
        """The mined tuples, shuffled and cut in batches."""
        assert mined is not None, "the epoch's tuples are mined first"
        random = np.random.default_rng((self.seed, epoch, _BATCHES))
        return batched(mined, self.shapes, self.spec, random=random, k=epoch % self.rounds)


def require_tuples(listing: Labelled, spec: TuplesSampling) -> None:
    """Raise `InvalidConfiguration` when the photographs cannot give such tuples."""
    require_classes(
        listing,
        least=spec.negatives + 1,
        reason=f"an anchor has {spec.negatives} negatives, each of another class",
    )
    found = len(_possible_anchors(listing))
    if found < spec.anchors:
        raise InvalidConfiguration(
            f"an epoch asks for {spec.anchors} anchors, {found} photographs have a positive "
            "(another photograph of the same class): lower `anchors`, or look whether `labels` of "
            "the sources says how their classes are known"
        )


def draw_pairs(listing: Labelled, count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Anchors, each once, with a positive each: int64 `[count, 2]`, by (seed, epoch)."""
    random = np.random.default_rng((seed, epoch, _PAIRS))
    if listing.pairs is not None:
        return listing.pairs[random.choice(len(listing.pairs), size=count, replace=False)]
    anchors = random.choice(_possible_anchors(listing), size=count, replace=False)
    members = members_of(listing)
    positives = [_another(members[listing.labels[a]], a, random) for a in anchors]
    return np.stack([anchors, np.array(positives, dtype=np.int64)], axis=1)


def batched(
    members: NDArray[np.int64],
    shapes: Shapes,
    spec: TuplesSampling,
    *,
    random: np.random.Generator,
    k: int,
) -> list[Tuples]:
    """Batches of tuples whose anchors are of similar aspect, in view k of each photograph.

    members: int64 `[Q, 2 + n]`, photographs: anchor, positive, n negatives.
    """
    views = members + k * len(shapes.nearest)
    groups = shapes.groups(members[:, 0], size=spec.tuples, random=random)
    return [Tuples(views[part], spec.columns, aspect) for part, aspect in groups]


def _possible_anchors(listing: Labelled) -> NDArray[np.int64]:
    if listing.pairs is not None:
        return listing.pairs[:, 0]
    sizes = np.bincount(listing.labels, minlength=len(listing.classes))
    return np.flatnonzero(sizes[listing.labels] >= 2).astype(np.int64)


def _another(
    photographs: NDArray[np.int64], anchor: np.int64, random: np.random.Generator
) -> np.int64:
    others = photographs[photographs != anchor]
    return np.int64(others[random.integers(len(others))])
