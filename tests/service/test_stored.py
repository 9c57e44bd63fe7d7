"""The true rows of items, where an approximate index cannot say or finds too few."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.gallery import parts, publish
from service.gallery.catalogue import Catalogue
from service.gallery.snapshot import LiveGallery
from service.gallery.stored import rows_in
from tests.service.gallery_rows import SPACE, brute_force, check_here, fill, unit_rows

COUNT = 300


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with closing(Catalogue.open(tmp_path)) as opened:
        fill(opened, unit_rows(COUNT))
        yield opened


def test_rows_come_in_order_of_key_whatever_order_sqlite_prefers(catalogue: Catalogue) -> None:
    rows = unit_rows(COUNT)
    with catalogue.reading() as connection:
        # SQLite's own way of finding out who relies on an order that was not asked for.
        connection.execute("PRAGMA reverse_unordered_selects = ON")
    keys, held = rows_in(catalogue, SPACE, np.array([9, 4, 7, 9000, 1], np.int64))
    assert keys.tolist() == [1, 4, 7, 9]
    np.testing.assert_array_equal(held, rows[[0, 3, 6, 8]])


@pytest.mark.parametrize("factory", ["IVF16,Flat", "IVF16,SQ8"])
def test_where_an_approximate_index_finds_too_few_that_match_all_of_them_are_compared(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: str
) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)
    # So few are always compared: here the index is asked first.
    monkeypatch.setattr(parts, "_FEW", 4)
    publish.publish(catalogue, tmp_path, SPACE, factory=factory, recall_gate=0.0)
    wanted = np.arange(1, COUNT + 1, 2, dtype=np.int64)
    rows, queries = unit_rows(COUNT), unit_rows(5, seed=3)
    truth = {int(key): rows[key - 1] for key in wanted}
    live = LiveGallery(tmp_path, poll_s=3600)
    live.start()
    with closing(live):
        found = live.snapshot(SPACE.id).only(wanted).search(queries, k=len(wanted))
    for query, hits in zip(queries, found, strict=True):
        expected = brute_force(truth, query, k=len(wanted))
        assert [(hit.key, hit.score) for hit in hits] == expected
