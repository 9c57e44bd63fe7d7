"""What each kind of benchmark asks of a ranking.  numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lorgnette.vectors import Vectors
from training.evaluation.landmarks import LandmarkScore, Marks, RevisitedTruth, judge_revisited
from training.evaluation.neighbours import (
    hits_of_labels,
    hits_of_lists,
    map_at_r,
    mean_ap_at,
    recall_at,
)
from training.evaluation.ranking import Ranking, nearest, rank_all

GLDV2_DEPTH = 100


@dataclass(frozen=True)
class Section:
    """A part of a benchmark that has figures of its own, such as the hard one.

    figures: name → value in [0, 1].  skipped: queries of it that have nothing to find.
    """

    name: str
    figures: Mapping[str, float]
    queries: int
    skipped: int


class Judge(Protocol):
    """How a benchmark ranks and judges."""

    def rank(
        self, queries: Vectors, gallery: Iterable[Vectors], distractors: Iterable[Vectors]
    ) -> Ranking:
        """Rank the gallery, a chunk `[C, D]` at a time, for the queries `[Q, D]`."""

    def judge(self, ranking: Ranking) -> tuple[Section, ...]:
        """The figures of such a ranking."""


@dataclass(frozen=True)
class RevisitedJudge:
    """ROxford5k and RParis6k: Easy, Medium and Hard."""

    truths: Sequence[RevisitedTruth]

    def rank(
        self, queries: Vectors, gallery: Iterable[Vectors], distractors: Iterable[Vectors]
    ) -> Ranking:
        """See `Judge`."""
        return rank_all(queries, np.concatenate(list(gallery)), distractors=distractors)

    def judge(self, ranking: Ranking) -> tuple[Section, ...]:
        """See `Judge`."""
        scores = judge_revisited(ranking, self.truths)
        return tuple(_landmark_section(level, score) for level, score in scores.items())


@dataclass(frozen=True)
class OldLandmarksJudge:
    """Oxford5k and Paris6k, as of 2007: one list of positives, good and ok together."""

    marks: Sequence[Marks]

    def rank(
        self, queries: Vectors, gallery: Iterable[Vectors], distractors: Iterable[Vectors]
    ) -> Ranking:
        """See `Judge`."""
        return rank_all(queries, np.concatenate(list(gallery)), distractors=distractors)

    def judge(self, ranking: Ranking) -> tuple[Section, ...]:
        """See `Judge`."""
        return (_landmark_section("all", LandmarkScore.of(ranking, self.marks)),)


@dataclass(frozen=True)
class LabelsJudge:
    """Metric learning: a neighbour of the query's class is right.

    asking: int64 `[Q]` classes.  held: int64 `[G]`.  ks: of R@k.
    is_leave_one_out: the queries are the gallery, in the same order.
    """

    asking: NDArray[np.int64]
    held: NDArray[np.int64]
    ks: tuple[int, ...]
    is_leave_one_out: bool

    def rank(
        self, queries: Vectors, gallery: Iterable[Vectors], distractors: Iterable[Vectors]
    ) -> Ranking:
        """See `Judge`.  As deep as the largest k, and as the largest class for MAP@R."""
        largest = int(np.unique(self.held, return_counts=True)[1].max())
        own = np.arange(len(queries), dtype=np.int64) if self.is_leave_one_out else None
        rows = (chunk for part in (gallery, distractors) for chunk in part)
        return nearest(queries, rows, k=max(*self.ks, largest), own=own)

    def judge(self, ranking: Ranking) -> tuple[Section, ...]:
        """See `Judge`."""
        hits = hits_of_labels(
            ranking.order, self.asking, self.held, is_leave_one_out=self.is_leave_one_out
        )
        figures = {f"R@{k}": recall_at(hits, k) for k in self.ks} | {"MAP@R": map_at_r(hits)}
        return (Section("all", figures, len(hits.relevant), hits.without_match),)


@dataclass(frozen=True)
class Gldv2Judge:
    """Google Landmarks v2 retrieval: mAP@100 of the public and of the private queries.

    answers: for each query, int64 rows of the gallery.  usage: each query's part.
    """

    answers: Sequence[NDArray[np.int64]]
    usage: Sequence[str]

    def rank(
        self, queries: Vectors, gallery: Iterable[Vectors], distractors: Iterable[Vectors]
    ) -> Ranking:
        """See `Judge`."""
        rows = (chunk for part in (gallery, distractors) for chunk in part)
        return nearest(queries, rows, k=GLDV2_DEPTH)

    def judge(self, ranking: Ranking) -> tuple[Section, ...]:
        """See `Judge`."""
        return tuple(self._section(ranking, part) for part in sorted(set(self.usage)))

    def _section(self, ranking: Ranking, part: str) -> Section:
        chosen = [q for q, usage in enumerate(self.usage) if usage == part]
        hits = hits_of_lists(ranking.order[chosen], [self.answers[q] for q in chosen])
        figures = {f"mAP@{GLDV2_DEPTH}": mean_ap_at(hits, GLDV2_DEPTH)}
        return Section(part.lower(), figures, len(hits.relevant), hits.without_match)


def _landmark_section(name: str, score: LandmarkScore) -> Section:
    precision = {f"mP@{k}": value for k, value in score.mean_precision_at.items()}
    counted = len(score.average_precision) - score.skipped
    return Section(name, {"mAP": score.mean_ap} | precision, counted, score.skipped)
