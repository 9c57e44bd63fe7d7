"""The recall an index is judged by, on cases small enough to count by hand."""

from __future__ import annotations

import numpy as np

from service.gallery.sample import Sample
from tests.service.gallery_rows import unit_rows

ROWS = unit_rows(40, seed=4)


def nearest(rows: np.ndarray, *, count: int) -> np.ndarray:
    """Positions `[N, count]` by a full sort in float64, each row itself first."""
    s = rows.astype(np.float64) @ rows.astype(np.float64).T
    return np.argsort(-s, axis=1)[:, :count]


def test_that_a_row_finds_itself_is_no_merit() -> None:
    sample = Sample.of(ROWS, seed=1)
    only_itself = np.full((40, 11), -1)
    only_itself[:, 0] = sample.positions
    assert sample.recall(only_itself, ROWS) == 0.0
    assert sample.lost(only_itself, ROWS) == 0


def test_recall_is_the_share_of_the_ten_others() -> None:
    sample = Sample.of(ROWS, seed=1)
    found = nearest(ROWS, count=11)[sample.positions]
    assert sample.recall(found, ROWS) == 1.0
    found[:, 8:] = -1
    assert sample.recall(found, ROWS) == 0.7


def test_what_is_asked_was_not_trained_on_where_enough_remains() -> None:
    many = unit_rows(3200, seed=5)
    sample = Sample.of(many, seed=1)
    others = sample.others(many)
    assert len(others) == 2700
    assert not (others[:, None, :] == sample.queries[None, :20, :]).all(axis=2).any()
    assert len(Sample.of(ROWS, seed=1).others(ROWS)) == 40
