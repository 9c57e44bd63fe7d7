"""The real ground truth of the revisited benchmarks."""

from __future__ import annotations

from pathlib import Path

from training.data.public.landmarks import read_revisited
from training.evaluation.landmarks import RevisitedTruth


def read_truths(path: Path) -> tuple[int, list[RevisitedTruth]]:
    """How many photographs the gallery holds, and the truth of each query."""
    lists = read_revisited(path, path.parent)
    return len(lists.gallery), list(lists.truths)
