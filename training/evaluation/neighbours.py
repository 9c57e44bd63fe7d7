"""Figures of the first neighbours: R@k, MAP@R and mAP@k.  numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration


@dataclass(frozen=True)
class Hits:
    """The first neighbours of the queries that have something to find.

    is_relevant: bool `[Q, K]`, best first.  relevant: int64 `[Q]`, how many the gallery holds for
    each query, at least 1.  without_match: how many further queries have nothing to find.
    """

    is_relevant: NDArray[np.bool_]
    relevant: NDArray[np.int64]
    without_match: int


def hits_of_labels(
    order: NDArray[np.uint32],
    asking: NDArray[np.int64],
    held: NDArray[np.int64],
    *,
    is_leave_one_out: bool,
) -> Hits:
    """A neighbour is relevant when it has the query's label.

    order: `[Q, K]` rows of the gallery; rows beyond it are distractors, right for nobody.
    asking: `[Q]` labels.  held: `[G]` labels.
    is_leave_one_out: the queries are the gallery, so each finds one of its label less.
    Raises `InvalidConfiguration` when no query has anything to find.
    """
    labels, sizes = np.unique(held, return_counts=True)
    where = np.minimum(np.searchsorted(labels, asking), len(labels) - 1)
    relevant = np.where(labels[where] == asking, sizes[where], 0) - int(is_leave_one_out)
    label = held[np.minimum(order, len(held) - 1)]
    return _counted((label == asking[:, None]) & (order < len(held)), relevant)


def hits_of_lists(order: NDArray[np.uint32], answers: Sequence[NDArray[np.int64]]) -> Hits:
    """A neighbour is relevant when it is listed among the query's answers, rows of the gallery.

    Raises `InvalidConfiguration` when no query has an answer.
    """
    found = [np.isin(row, answer) for row, answer in zip(order, answers, strict=True)]
    return _counted(np.array(found), np.array([len(np.unique(answer)) for answer in answers]))


def recall_at(hits: Hits, k: int) -> float:
    """R@k in [0, 1]: the share of queries with a relevant neighbour among their first k.

    The recall of metric learning: not the share found of what is relevant.
    """
    return float(hits.is_relevant[:, :k].any(axis=1).mean())


def map_at_r(hits: Hits) -> float:
    """MAP@R in [0, 1]: over the first R ranks, R being the relevant of each query.

    Mean of (1/R) Σ_{i ≤ R} precision(i) · relevant(i).  Musgrave et al., ECCV 2020.
    """
    return _mean_truncated_ap(hits, last=hits.relevant, most=hits.relevant)


def mean_ap_at(hits: Hits, k: int) -> float:
    """mAP@k in [0, 1] of Google Landmarks v2: precisions up to rank k, over min(relevant, k).

    Weyand et al., CVPR 2020.
    """
    last = np.full_like(hits.relevant, k)
    return _mean_truncated_ap(hits, last=last, most=np.minimum(hits.relevant, k))


def _mean_truncated_ap(hits: Hits, *, last: NDArray[np.int64], most: NDArray[np.int64]) -> float:
    """Mean of the sum of the precisions at the relevant ranks up to `last` `[Q]`, over `most`."""
    ranks = np.arange(1, hits.is_relevant.shape[1] + 1)
    precision = hits.is_relevant.cumsum(axis=1) / ranks
    counts = hits.is_relevant & (ranks <= last[:, None])
    return float(((precision * counts).sum(axis=1) / most).mean())


def _counted(is_relevant: NDArray[np.bool_], relevant: NDArray[np.int64]) -> Hits:
    matched = relevant > 0
    if not matched.any():
        raise InvalidConfiguration(
            f"none of the {len(relevant)} queries has a match in the gallery: check that both are "
            "of the same data set"
        )
    return Hits(is_relevant[matched], relevant[matched], int((~matched).sum()))
