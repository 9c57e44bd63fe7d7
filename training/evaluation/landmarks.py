"""AP with junk, as the Oxford and Paris landmark benchmarks define it, old and revisited.

Philbin et al., CVPR 2007; Radenović et al., CVPR 2018.  numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from training.evaluation.ranking import Ranking

KAPPAS = (1, 5, 10)
"""mP@k is reported for these."""

Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True)
class Marks:
    """What counts for one query: int64 rows of the gallery.  All others are negative.

    positives: to be found.  junk: taken out of the ranking before it is judged.
    """

    positives: NDArray[np.int64]
    junk: NDArray[np.int64]


@dataclass(frozen=True)
class RevisitedTruth:
    """The ground truth of one query: int64 rows of the gallery."""

    easy: NDArray[np.int64]
    hard: NDArray[np.int64]
    junk: NDArray[np.int64]

    def marks(self) -> dict[Difficulty, Marks]:
        """What counts at each difficulty."""
        return {
            "easy": Marks(self.easy, np.concatenate([self.junk, self.hard])),
            "medium": Marks(np.concatenate([self.easy, self.hard]), self.junk),
            "hard": Marks(self.hard, np.concatenate([self.junk, self.easy])),
        }


@dataclass(frozen=True)
class LandmarkScore:
    """One set of marks, judged.  All figures are in [0, 1].

    average_precision: float64 `[Q]`, NaN for a query without positives: it is skipped.
    mean_precision_at: k → mP@k over the queries that count.
    """

    average_precision: NDArray[np.float64]
    mean_precision_at: Mapping[int, float]

    @property
    def mean_ap(self) -> float:
        """MAP over the queries that count."""
        return float(np.nanmean(self.average_precision))

    @property
    def skipped(self) -> int:
        """How many queries have no positive."""
        return int(np.isnan(self.average_precision).sum())

    @classmethod
    def of(cls, ranking: Ranking, marks: Sequence[Marks]) -> Self:
        """Judge a ranking of the whole gallery, one `Marks` a query.

        Raises `InvalidConfiguration` when no query has a positive.
        """
        assert len(marks) == len(ranking.order)
        places = [
            found_places(order, at, mark)
            for order, at, mark in zip(ranking.order, ranking.places, marks, strict=True)
        ]
        counted = [found for found in places if len(found)]
        if not counted:
            raise InvalidConfiguration(
                f"none of the {len(marks)} queries has a positive in the gallery: the ground "
                "truth is of another set of photographs"
            )
        return cls(
            np.array([trapezoid_ap(found) if len(found) else np.nan for found in places]),
            {k: float(np.mean([precision_at(found, k) for found in counted])) for k in KAPPAS},
        )


def judge_revisited(
    ranking: Ranking, truths: Sequence[RevisitedTruth]
) -> dict[Difficulty, LandmarkScore]:
    """A ranking of the whole gallery at the three difficulties.

    Raises `InvalidConfiguration` when no query has a positive at one of them.
    """
    marks = [truth.marks() for truth in truths]
    difficulties: tuple[Difficulty, ...] = ("easy", "medium", "hard")
    return {level: LandmarkScore.of(ranking, [of[level] for of in marks]) for level in difficulties}


def found_places(
    order: NDArray[np.uint32], places: NDArray[np.int64], marks: Marks
) -> NDArray[np.int64]:
    """The positives' places from 0, rising `[P]`, in the ranking without its junk.

    order, places: one row `[G]` of a `Ranking` of the whole gallery.
    """
    is_junk = np.isin(order, marks.junk)
    is_positive = np.isin(order, marks.positives)
    ahead = is_junk.cumsum() - is_junk
    shifted: NDArray[np.int64] = (places - ahead)[is_positive]
    return shifted


def trapezoid_ap(places: NDArray[np.int64]) -> float:
    """AP in [0, 1] by the trapezoid rule over recall, from the P positives' places from 0.

    Each positive adds (precision just before it + precision at it) / 2P; before the first place
    of all, precision is 1.  The rule of the Oxford buildings' `compute_ap`, kept by the revisited
    protocol: not the non-interpolated AP of `ranking.average_precision`.
    """
    before = np.arange(len(places), dtype=np.float64)
    ahead = np.where(places == 0, 1.0, before / np.maximum(places, 1))
    at = (before + 1) / (places + 1)
    return float((ahead + at).sum() / (2 * len(places)))


def precision_at(places: NDArray[np.int64], k: int) -> float:
    """Precision in [0, 1] at k, or at the last positive's place when that is before k."""
    depth = min(int(places[-1]) + 1, k)
    return float((places < depth).sum()) / depth
