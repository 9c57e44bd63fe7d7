"""The last thing a gallery model learns: a whitening, folded into a linear layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from training.config import ClosingWhitening, PcaWhitening, Running
from training.data.catalogue import Labelled
from training.data.loader import Views
from training.embed import cached_pooled
from training.models.embedder import Embedder
from training.models.whitening import (
    Whitening,
    learn_supervised_whitening,
    learn_whitening,
    whitened,
)
from training.runtime import Place, first_alone


def closed(
    trained: Embedder,
    spec: ClosingWhitening,
    views: Views,
    *,
    running: Running,
    out: Path,
    place: Place,
) -> Embedder:
    """The trained network without a head, followed by a whitening of its unit rows.

    Learned on the views; their rows are cached below `out`.
    Raises `InvalidConfiguration` when the rows do not span `spec.dim` dimensions, or there are no
    pairs to learn from.
    """
    trained.eval()
    with first_alone(place):
        pooled = cached_pooled(
            lambda _: out / "pooled-trained",
            trained,
            views,
            spec=trained.network.input,
            running=running,
        )
    rows = np.concatenate([part for _, part in pooled.shards()])
    return whitened(trained, _learned(spec, rows, views.photographs.listing))


def _learned(spec: ClosingWhitening, rows: NDArray[np.floating], listing: Labelled) -> Whitening:
    if isinstance(spec, PcaWhitening):
        return learn_whitening(rows, dim=spec.dim, shrinkage=spec.shrinkage)
    pairs = known_pairs(listing)
    return learn_supervised_whitening(
        rows, queries=pairs[:, 0], positives=pairs[:, 1], dim=spec.dim
    )


def known_pairs(listing: Labelled) -> NDArray[np.int64]:
    """The known pairs, int64 `[Q, 2]`, or each photograph with the next of its class.

    Raises `InvalidConfiguration` when there are none.
    """
    if listing.pairs is not None:
        return listing.pairs
    order = np.argsort(listing.labels, kind="stable")
    alike = listing.labels[order[:-1]] == listing.labels[order[1:]]
    pairs = np.stack([order[:-1][alike], order[1:][alike]], axis=1)
    if not len(pairs):
        raise InvalidConfiguration(
            "whitening: lw learns from pairs of a class, and no class has two photographs: give "
            "labels (`labels: folder`), a public set in whitening.data, or name: pca"
        )
    return pairs
