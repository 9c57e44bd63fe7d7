"""Any sequence of writes, publications, rollbacks, restarts, snapshots and restores: results are
those of brute force over a dict."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from service.gallery import backup, generations, publish, writes
from service.gallery.catalogue import Catalogue
from service.gallery.records import Put, Stamp
from service.gallery.restore import restore
from service.gallery.snapshot import LiveGallery
from tests.service.gallery_rows import SPACE, brute_force, check_here, new_item

Row = NDArray[np.float32]

# Few ids and few directions: replacements, exact ties and opposite vectors are the rule.
ITEM_IDS = st.sampled_from([f"item-{n}" for n in range(12)])
SIGNS = st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3)


def row_of(signs: list[float]) -> Row:
    row = np.zeros(SPACE.dim)
    row[:3] = signs
    row[3] = 0.5
    unit: Row = (row / np.linalg.norm(row)).astype(np.float32)
    return unit


QUERIES = np.stack([row_of([1, 1, 1]), row_of([-1, 1, -1]), row_of([1, -1, -1])])


class GalleryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.data = Path(self.folder.name)
        self.truth: dict[str, Row] = {}
        self.key_of: dict[str, int] = {}
        self.id_of: dict[int, str] = {}
        self.stamp = 0
        self.snapshots: list[tuple[str, dict[str, Row]]] = []
        self.open()

    def open(self) -> None:
        self.catalogue = Catalogue.open(self.data)
        self.gallery = LiveGallery(self.data, poll_s=3600)
        self.gallery.start()

    def close(self) -> None:
        self.gallery.close()
        self.catalogue.close()

    def teardown(self) -> None:
        self.close()
        self.folder.cleanup()

    @rule(batch=st.dictionaries(ITEM_IDS, SIGNS, min_size=1, max_size=6))
    def upsert(self, batch: dict[str, list[float]]) -> None:
        self.stamp += 1
        rows = {item_id: row_of(signs) for item_id, signs in batch.items()}
        self.catalogue.upsert(
            SPACE, [new_item(key, row, mtime_ns=self.stamp) for key, row in rows.items()]
        )
        self.truth |= rows
        self.key_of |= {entry.id: entry.key for entry in self.catalogue.known(SPACE.id)}

    @rule(item_id=ITEM_IDS)
    def delete(self, item_id: str) -> None:
        assert self.catalogue.delete([item_id]) == (item_id in self.truth)
        self.truth.pop(item_id, None)

    @precondition(lambda self: self.truth)
    @rule()
    def publish(self) -> None:
        publish.publish(self.catalogue, self.data, SPACE, factory="Flat", recall_gate=1.0)

    @precondition(lambda self: generations.published(self.data))
    @rule(pick=st.integers(0, 2))
    def roll_back(self, pick: int) -> None:
        published = generations.published(self.data)
        generations.promote(self.data, published[pick % len(published)])

    @precondition(lambda self: len(self.snapshots) < 3)
    @rule()
    def take_snapshot(self) -> None:
        taken = backup.create(self.catalogue, self.data, name=f"s{len(self.snapshots)}")
        assert taken.items == len(self.truth)
        self.snapshots.append((taken.name, dict(self.truth)))

    @precondition(lambda self: self.snapshots)
    @rule(pick=st.integers(0, 2))
    def restore_snapshot(self, pick: int) -> None:
        name, truth = self.snapshots[pick % len(self.snapshots)]
        restore(self.catalogue, self.data, name)
        self.truth = dict(truth)
        self.key_of |= {entry.id: entry.key for entry in self.catalogue.known(SPACE.id)}

    @rule(batch=st.dictionaries(ITEM_IDS, SIGNS, max_size=4), gone=st.sets(ITEM_IDS, max_size=3))
    def write_batch(self, batch: dict[str, list[float]], gone: set[str]) -> None:
        rows = {item_id: row_of(signs) for item_id, signs in batch.items() if item_id not in gone}
        puts = [
            Put(id=key, source="", stamp=Stamp(0, 0), metadata={}, vectors={SPACE: row})
            for key, row in rows.items()
        ]
        written = writes.write(self.catalogue, puts, delete=sorted(gone))
        assert (written.upserted, written.deleted) == (len(rows), len(gone & self.truth.keys()))
        for item_id in gone:
            self.truth.pop(item_id, None)
        self.truth |= rows
        self.key_of |= {entry.id: entry.key for entry in self.catalogue.known(SPACE.id)}

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @rule()
    def follow(self) -> None:
        self.gallery.refresh()

    @invariant()
    def searching_is_brute_force(self) -> None:
        self.gallery.refresh()
        if not self.gallery.snapshots():
            assert not self.truth
            return
        for entry in self.catalogue.known(SPACE.id):
            assert self.id_of.setdefault(entry.key, entry.id) == entry.id, "a key was given twice"
        snapshot = self.gallery.snapshot(SPACE.id)
        assert snapshot.count == len(self.truth)
        by_key = {self.key_of[item_id]: row for item_id, row in self.truth.items()}
        for k in (1, 4, 20):
            found = snapshot.search(QUERIES, k=k)
            assert [[(hit.key, hit.score) for hit in hits] for hits in found] == [
                brute_force(by_key, query, k=k) for query in QUERIES
            ]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)


@pytest.mark.usefixtures("_quick")
class TestGallery(GalleryMachine.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


@pytest.mark.torture
@pytest.mark.torture_row("oracle")
@pytest.mark.usefixtures("_quick")
class TestGalleryAtLength(GalleryMachine.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
