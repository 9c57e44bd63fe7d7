from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lorgnette.errors import InvalidRequest, InvalidVector, SpaceMismatch, Unavailable
from lorgnette.vectors import Vectors
from service.gallery import generations, publish
from service.gallery.catalogue import Catalogue
from service.gallery.snapshot import LiveGallery, Snapshot
from tests.service.gallery_rows import (
    SPACE,
    brute_force,
    check_here,
    fill,
    ids_and_scores,
    new_item,
    unit_rows,
)
from tests.tiny_bundle import space_of

OTHER = space_of(1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)


def publish_now(catalogue: Catalogue, *, factory: str = "Flat") -> None:
    data = catalogue.path.parent
    publish.publish(catalogue, data, SPACE, factory=factory, recall_gate=0.5)


def view(gallery: LiveGallery) -> Snapshot:
    gallery.refresh()
    return gallery.snapshot(SPACE.id)


def found(snapshot: Snapshot, rows: Vectors, *, k: int) -> list[list[tuple[int, float]]]:
    return [[(hit.key, hit.score) for hit in hits] for hits in snapshot.search(rows, k=k)]


def test_before_anything_is_published_everything_is_in_the_tail(
    catalogue: Catalogue, gallery: LiveGallery
) -> None:
    rows = unit_rows(50)
    fill(catalogue, rows)
    snapshot = view(gallery)
    assert (snapshot.generation, snapshot.count) == (0, 50)
    truth = {n + 1: row for n, row in enumerate(rows)}
    assert found(snapshot, rows[:3], k=50) == [brute_force(truth, row, k=50) for row in rows[:3]]


def test_results_do_not_tell_where_a_vector_is_kept(
    catalogue: Catalogue, gallery: LiveGallery
) -> None:
    rows, queries = unit_rows(120), unit_rows(9, seed=1)
    fill(catalogue, rows[:80])
    publish_now(catalogue)
    fill(catalogue, rows[80:], first=80)
    catalogue.delete([f"{n:03}" for n in range(0, 120, 7)])
    replaced = unit_rows(10, seed=2)
    fill(catalogue, replaced, first=71)
    mixed = view(gallery)
    truth = {n + 1: row for n, row in enumerate(rows) if n % 7}
    truth |= {72 + n: row for n, row in enumerate(replaced)}
    expected = [brute_force(truth, query, k=20) for query in queries]
    assert mixed.generation == 1
    assert mixed.count == len(truth)
    assert found(mixed, queries, k=20) == expected
    publish_now(catalogue)
    fresh = view(gallery)
    assert fresh.generation == 2
    assert found(fresh, queries, k=20) == expected
    # One query at a time takes another path through FAISS and BLAS than nine.
    assert [found(fresh, query[None], k=20)[0] for query in queries] == expected


def test_equal_vectors_come_in_order_of_key_wherever_they_are(
    catalogue: Catalogue, gallery: LiveGallery
) -> None:
    row = unit_rows(1, seed=4)
    fill(catalogue, row.repeat(70, axis=0))
    publish_now(catalogue)
    fill(catalogue, row.repeat(30, axis=0), first=70)
    catalogue.delete(["000", "003", "075"])
    keys = [hit.key for hit in view(gallery).search(row, k=80)[0]]
    assert keys == [key for key in range(1, 101) if key not in {1, 4, 76}][:80]


def test_deleted_items_do_not_crowd_out_the_living(
    catalogue: Catalogue, gallery: LiveGallery
) -> None:
    rows = unit_rows(200)
    fill(catalogue, rows)
    publish_now(catalogue)
    nearest = [
        key for key, _ in brute_force({n + 1: r for n, r in enumerate(rows)}, rows[0], k=150)
    ]
    catalogue.delete([f"{key - 1:03}" for key in nearest[:140]])
    assert [hit.key for hit in view(gallery).search(rows[:1], k=10)[0]] == nearest[140:]


@pytest.mark.parametrize("k", [1, 7, 30, 31, 100_000])
def test_k_beyond_the_count_gives_what_there_is(
    catalogue: Catalogue, gallery: LiveGallery, k: int
) -> None:
    rows = unit_rows(30)
    fill(catalogue, rows[:20])
    publish_now(catalogue)
    fill(catalogue, rows[20:], first=20)
    hits = view(gallery).search(rows[:2], k=k)
    assert [len(row) for row in hits] == [min(k, 30)] * 2
    assert all(hit.key > 0 for row in hits for hit in row)


@pytest.mark.parametrize("factory", ["HNSW32", "IVF16,Flat", "SQ8"])
def test_an_approximate_index_never_gives_what_is_not_there(
    catalogue: Catalogue, gallery: LiveGallery, factory: str
) -> None:
    rows = unit_rows(640)
    fill(catalogue, rows)
    publish_now(catalogue, factory=factory)
    catalogue.delete([f"{n:03}" for n in range(0, 640, 2)])
    for hits in view(gallery).search(rows[:40], k=600):
        keys = [hit.key for hit in hits]
        assert len(set(keys)) == len(keys) <= 320
        assert all(key % 2 == 0 for key in keys)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_snapshot_stays_what_it_was(catalogue: Catalogue, gallery: LiveGallery) -> None:
    rows = unit_rows(40)
    fill(catalogue, rows[:20])
    publish_now(catalogue)
    fill(catalogue, rows[20:30], first=20)
    old = view(gallery)
    before = found(old, rows[:5], k=40)
    catalogue.delete(["001", "021"])
    fill(catalogue, unit_rows(400, seed=3), first=5)
    view(gallery)
    publish_now(catalogue)
    assert view(gallery).generation == 2
    assert found(old, rows[:5], k=40) == before


def test_an_emptied_gallery_answers_with_nothing(
    catalogue: Catalogue, gallery: LiveGallery
) -> None:
    fill(catalogue, unit_rows(3))
    publish_now(catalogue)
    catalogue.delete(["000", "001", "002"])
    assert view(gallery).count == 0
    assert view(gallery).search(unit_rows(2), k=5) == [[], []]


def test_rolling_back_changes_the_index_but_not_the_results(
    catalogue: Catalogue, gallery: LiveGallery, tmp_path: Path
) -> None:
    fill(catalogue, unit_rows(20))
    publish_now(catalogue)
    fill(catalogue, unit_rows(20, seed=1), first=10)
    publish_now(catalogue)
    after = found(view(gallery), unit_rows(3, seed=2), k=30)
    generations.promote(tmp_path, 1)
    assert view(gallery).generation == 1
    assert found(view(gallery), unit_rows(3, seed=2), k=30) == after


def test_two_spaces_are_live_during_a_teacher_upgrade(
    catalogue: Catalogue, gallery: LiveGallery
) -> None:
    rows = unit_rows(10)
    fill(catalogue, rows)
    publish_now(catalogue)
    fill(catalogue, rows[:4], space=OTHER)
    gallery.refresh()
    counts = {entry.space.id: entry.count for entry in gallery.snapshots()}
    assert counts == {SPACE.id: 10}, (
        "a space is live when it is published, not while it is embedded"
    )
    data = catalogue.path.parent
    publish.publish(catalogue, data, OTHER, factory="Flat", recall_gate=0.9)
    gallery.refresh()
    counts = {entry.space.id: entry.count for entry in gallery.snapshots()}
    assert counts == {SPACE.id: 10, OTHER.id: 4}


def test_a_space_that_is_not_live_is_refused_with_those_that_are(
    catalogue: Catalogue, gallery: LiveGallery
) -> None:
    fill(catalogue, unit_rows(2))
    gallery.refresh()
    with pytest.raises(SpaceMismatch, match=OTHER.id) as caught:
        gallery.snapshot(OTHER.id)
    assert (caught.value.expected, caught.value.found) == ((SPACE.id,), OTHER.id)


def test_an_empty_gallery_is_unavailable(gallery: LiveGallery) -> None:
    with pytest.raises(Unavailable, match="empty"):
        gallery.snapshot(SPACE.id)


def test_a_query_of_another_dimension_or_without_k_is_refused(
    catalogue: Catalogue, gallery: LiveGallery
) -> None:
    fill(catalogue, unit_rows(2))
    with pytest.raises(InvalidVector, match="16 numbers"):
        view(gallery).search(np.ones((1, 15), np.float32), k=1)
    with pytest.raises(InvalidRequest, match="found 0"):
        view(gallery).search(unit_rows(1), k=0)


def test_a_generation_that_cannot_be_trusted_is_never_swapped_in(
    catalogue: Catalogue, gallery: LiveGallery, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(catalogue, unit_rows(10))
    publish_now(catalogue)
    assert view(gallery).generation == 1
    fill(catalogue, unit_rows(5, seed=1), first=10)
    publish_now(catalogue)
    index = tmp_path / "generations" / "2" / "index.faiss"
    index.unlink()
    index.write_bytes(b"not an index")
    assert (view(gallery).generation, view(gallery).count) == (1, 15)
    assert [record.message for record in caplog.records].count("refused a generation") == 1
    publish_now(catalogue)
    assert view(gallery).generation == 3


def test_the_thread_follows_writes_and_generations(catalogue: Catalogue, tmp_path: Path) -> None:
    fill(catalogue, unit_rows(3))
    with closing(LiveGallery(tmp_path, poll_s=0.01)) as following:
        following.start()
        assert following.snapshot(SPACE.id).count == 3
        catalogue.upsert(SPACE, [new_item("new", unit_rows(1, seed=8)[0])])
        publish_now(catalogue)
        deadline = time.monotonic() + 10
        while following.snapshot(SPACE.id).generation != 1:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        snapshot = following.snapshot(SPACE.id)
        ((best, *_),) = ids_and_scores(snapshot, catalogue, unit_rows(1, seed=8), k=2)
        assert best == ("new", pytest.approx(1.0, abs=1e-6))
