"""Any sequence of writes, publications, rollbacks, restarts, snapshots and restores: results are
those of brute force over a dict."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from lorgnette.filters import read_filter
from service.gallery import backup, generations, publish, writes
from service.gallery.catalogue import Catalogue
from service.gallery.filters import Matching
from service.gallery.records import NewItem, Put, Stamp
from service.gallery.restore import restore
from service.gallery.snapshot import Found, LiveGallery
from tests.service.gallery_rows import SPACE, brute_force, check_here

Row = NDArray[np.float32]
Metadata = dict[str, str]

# Few ids and few directions: replacements, exact ties and opposite vectors are the rule.
ITEM_IDS = st.sampled_from([f"item-{n}" for n in range(12)])
SIGNS = st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3)
COLOURS = st.sampled_from([{"colour": "red"}, {"colour": "blue"}, {}])
FILTERS: dict[str, Callable[[Metadata], bool]] = {
    '{"field": "colour", "eq": "red"}': lambda held: held.get("colour") == "red",
    '{"field": "colour", "exists": false}': lambda held: "colour" not in held,
    '{"not": {"field": "colour", "eq": "blue"}}': lambda held: held.get("colour") != "blue",
}


def row_of(signs: list[float]) -> Row:
    row = np.zeros(SPACE.dim)
    row[:3] = signs
    row[3] = 0.5
    unit: Row = (row / np.linalg.norm(row)).astype(np.float32)
    return unit


QUERIES = np.stack([row_of([1, 1, 1]), row_of([-1, 1, -1]), row_of([1, -1, -1])])


def found(hits: list[Found]) -> list[tuple[int, float]]:
    return [(hit.key, hit.score) for hit in hits]


class GalleryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.data = Path(self.folder.name)
        self.truth: dict[str, Row] = {}
        self.metadata: dict[str, Metadata] = {}
        self.key_of: dict[str, int] = {}
        self.id_of: dict[int, str] = {}
        self.stamp = 0
        self.snapshots: list[tuple[str, dict[str, Row], dict[str, Metadata]]] = []
        self.open()

    def open(self) -> None:
        self.catalogue = Catalogue.open(self.data)
        self.matching = Matching()
        self.gallery = LiveGallery(self.data, poll_s=3600)
        self.gallery.start()

    def close(self) -> None:
        self.gallery.close()
        self.catalogue.close()

    def teardown(self) -> None:
        self.close()
        self.folder.cleanup()

    @rule(batch=st.dictionaries(ITEM_IDS, st.tuples(SIGNS, COLOURS), min_size=1, max_size=6))
    def upsert(self, batch: dict[str, tuple[list[float], Metadata]]) -> None:
        self.stamp += 1
        rows = {item_id: row_of(signs) for item_id, (signs, _) in batch.items()}
        held = {item_id: metadata for item_id, (_, metadata) in batch.items()}
        stamp = Stamp(size=10, mtime_ns=self.stamp)
        self.catalogue.upsert(
            SPACE,
            [
                NewItem(id=key, source="", stamp=stamp, metadata=held[key], vector=row)
                for key, row in rows.items()
            ],
        )
        self.remember(rows, held)

    def remember(self, rows: dict[str, Row], held: dict[str, Metadata]) -> None:
        self.truth |= rows
        self.metadata |= held
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
        self.snapshots.append((taken.name, dict(self.truth), dict(self.metadata)))

    @precondition(lambda self: self.snapshots)
    @rule(pick=st.integers(0, 2))
    def restore_snapshot(self, pick: int) -> None:
        name, truth, metadata = self.snapshots[pick % len(self.snapshots)]
        restore(self.catalogue, self.data, name)
        self.truth, self.metadata = dict(truth), {}
        self.remember({}, metadata)

    @rule(
        batch=st.dictionaries(ITEM_IDS, SIGNS, max_size=4),
        gone=st.sets(ITEM_IDS, max_size=3),
        metadata=COLOURS,
    )
    def write_batch(
        self, batch: dict[str, list[float]], gone: set[str], metadata: Metadata
    ) -> None:
        rows = {item_id: row_of(signs) for item_id, signs in batch.items() if item_id not in gone}
        puts = [
            Put(id=key, source="", stamp=Stamp(0, 0), metadata=metadata, vectors={SPACE: row})
            for key, row in rows.items()
        ]
        written = writes.write(self.catalogue, puts, delete=sorted(gone))
        assert (written.upserted, written.deleted) == (len(rows), len(gone & self.truth.keys()))
        for item_id in gone:
            self.truth.pop(item_id, None)
        self.remember(rows, dict.fromkeys(rows, metadata))

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @rule()
    def follow(self) -> None:
        self.gallery.refresh()

    @precondition(lambda self: self.truth)
    @rule(signs=SIGNS, k=st.integers(1, 30))
    def search(self, signs: list[float], k: int) -> None:
        self.gallery.refresh()
        query = row_of(signs)
        (hits,) = self.gallery.snapshot(SPACE.id).search(query[None, :], k=k)
        assert found(hits) == brute_force(self.by_key(self.truth), query, k=k)

    @precondition(lambda self: self.truth)
    @rule(text=st.sampled_from(sorted(FILTERS)), signs=SIGNS, k=st.integers(1, 30))
    def filtered_search(self, text: str, signs: list[float], k: int) -> None:
        """With what the filter remembers from before, across writes and restores."""
        self.gallery.refresh()
        query, is_wanted = row_of(signs), FILTERS[text]
        with self.catalogue.reading() as connection:
            keys = self.matching.keys(connection, read_filter(text))
        snapshot = self.gallery.snapshot(SPACE.id).only(keys)
        (hits,) = snapshot.search(query[None, :], k=k)
        wanted = {name: row for name, row in self.truth.items() if is_wanted(self.metadata[name])}
        assert snapshot.count == len(wanted)
        assert found(hits) == brute_force(self.by_key(wanted), query, k=k)

    def by_key(self, rows: dict[str, Row]) -> dict[int, Row]:
        return {self.key_of[item_id]: row for item_id, row in rows.items()}

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
        by_key = self.by_key(self.truth)
        for k in (1, 4, 20):
            assert [found(hits) for hits in snapshot.search(QUERIES, k=k)] == [
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
