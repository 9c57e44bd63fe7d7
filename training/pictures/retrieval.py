"""What each pairing of embedders finds: rankings of a subject, in chunks.  numpy only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from training.analyses.subject import Subject
from training.evaluation.ranking import average_precision, nearest

LEVELS = np.linspace(0, 1, 101)
"""The recalls at which precision is read."""

_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class Found:
    """Of Q queries with something to find.  queries: their positions in `subject.queries`.

    order: uint32 `[Q, K]`, rows of the gallery, best first.  is_relevant: bool `[Q, K]`.
    """

    queries: NDArray[np.int64]
    order: NDArray[np.uint32]
    is_relevant: NDArray[np.bool_]


@dataclass(frozen=True)
class Retrieval:
    """One pairing.  precision: float64 `[101]`, the mean over queries at each of `LEVELS`.

    average_precisions: float64 `[Q]`, of the queries with something to find.
    precision_at_1: in [0, 1].
    """

    precision: NDArray[np.float64]
    average_precisions: NDArray[np.float64]
    precision_at_1: float

    @property
    def mean_ap(self) -> float:
        """Mean of the non-interpolated average precisions, in [0, 1]."""
        return float(self.average_precisions.mean())


def pairings(subject: Subject) -> dict[str, tuple[Vectors, Vectors]]:
    """Who embeds the queries → who embeds the gallery: the rows `[N, D]` of each."""
    teacher, student = subject.teacher, subject.student
    return {
        "teacher → teacher": (teacher, teacher),
        "student → student": (student, student),
        "student → teacher": (student, teacher),
    }


def answerable(subject: Subject) -> NDArray[np.int64]:
    """Positions `[Q]` in `subject.queries` of those with something to find in the gallery.

    Raises `InvalidConfiguration` when there is none.
    """
    counts = np.bincount(subject.labels[subject.gallery], minlength=len(subject.names))
    others = counts[subject.labels[subject.queries]] - subject.is_leave_one_out
    found = np.flatnonzero(others > 0).astype(np.int64)
    if not len(found):
        raise InvalidConfiguration(
            "no query has a photograph of its class in the gallery: check the class folders"
        )
    return found


def retrieve(subject: Subject, asks: Vectors, holds: Vectors) -> Retrieval:
    """Rank the whole gallery for each query that has something to find.

    asks, holds: rows `[N, D]` of the subject's photographs, by whoever embeds queries and gallery.
    """
    precisions, averages, firsts = [], [], []
    for found in ranked(subject, asks, holds, k=len(subject.gallery)):
        precisions.append(interpolated_precision(found.is_relevant))
        averages.append(average_precision(found.is_relevant))
        firsts.append(found.is_relevant[:, 0])
    return Retrieval(
        precision=np.concatenate(precisions).mean(axis=0),
        average_precisions=np.concatenate(averages),
        precision_at_1=float(np.concatenate(firsts).mean()),
    )


def ranked(subject: Subject, asks: Vectors, holds: Vectors, *, k: int) -> Iterator[Found]:
    """The k best of the gallery for some queries at a time; see `retrieve`."""
    every = answerable(subject)
    for begin in range(0, len(every), _QUERIES_AT_ONCE):
        some = every[begin : begin + _QUERIES_AT_ONCE]
        ranking = nearest(
            asks[subject.queries[some]], [holds[subject.gallery]], k=k, own=subject.own(some)
        )
        relevant = np.take_along_axis(
            subject.relevant(some), ranking.order.astype(np.int64), axis=1
        )
        yield Found(some, ranking.order, relevant)


def interpolated_precision(is_relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The best precision at any recall of at least each level: float64 `[Q, 101]`.

    is_relevant: bool `[Q, K]`, best first, every relevant photograph in it and at least one a row.
    """
    hits = is_relevant.cumsum(axis=1)
    precision = hits / np.arange(1, is_relevant.shape[1] + 1)
    best_later = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    wanted = np.ceil(LEVELS * hits[:, -1:] - 1e-9).clip(min=1)
    # The first rank with so many hits: hits never fall, so it is the count of ranks with fewer.
    at = np.stack([np.searchsorted(row, need) for row, need in zip(hits, wanted, strict=True)])
    curves: NDArray[np.float64] = np.take_along_axis(best_later, at, axis=1)
    return curves
