"""What a gallery promises, whoever holds its index: FAISS, milvus-lite, a Milvus server.

A server is asked too when LORGNETTE_TEST_MILVUS names one: `make test-milvus`.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from lorgnette.errors import (
    InvalidConfiguration,
    InvalidGallery,
    MissingExtra,
    SpaceMismatch,
    Unavailable,
)
from lorgnette.vectors import Vectors
from service.gallery import backup, generations, milvus, publish, steering
from service.gallery.catalogue import Catalogue
from service.gallery.restore import restore
from service.gallery.snapshot import LiveGallery, Snapshot
from tests.service.gallery_rows import (
    SPACE,
    brute_force,
    check_here,
    fill,
    new_item,
    unit_rows,
)
from tests.tiny_bundle import space_of

OTHER = space_of(1)
SERVER = os.environ.get("LORGNETTE_TEST_MILVUS", "")
HOLDERS = ["FAISS", "milvus-lite", "milvus-server"]

_names = count()

# pymilvus and its dependencies warn of their own matters.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    uri = str(tmp_path_factory.mktemp("milvus") / "lite.db")
    yield uri
    if milvus._client.cache_info().currsize:
        milvus._client(uri).close()
        milvus._client.cache_clear()


@pytest.fixture(params=HOLDERS)
def factory(request: pytest.FixtureRequest) -> str:
    """An exact index, by each holder that is there."""
    if request.param == "FAISS":
        return "Flat"
    if find_spec("pymilvus") is None:
        pytest.skip("the extra milvus is not installed")
    uri = SERVER
    if request.param == "milvus-lite":
        if find_spec("milvus_lite") is None:
            pytest.skip("milvus-lite is not installed")
        uri = request.getfixturevalue("lite")
    elif not SERVER:
        pytest.skip("LORGNETTE_TEST_MILVUS names no server")
    return f"milvus+{uri}#t{os.getpid()}_{next(_names)}/FLAT"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Checked in this process, but for a server's: milvus-lite can be opened by one only."""
    if "milvus-server" not in request.node.name:
        monkeypatch.setattr(publish, "_ask", check_here)


def publish_now(catalogue: Catalogue, factory: str, *, space=SPACE) -> int:  # type: ignore[no-untyped-def]
    data = catalogue.path.parent
    return publish.publish(catalogue, data, space, factory=factory, recall_gate=0.5).generation


def view(gallery: LiveGallery) -> Snapshot:
    gallery.refresh()
    return gallery.snapshot(SPACE.id)


def truth_of(catalogue: Catalogue) -> dict[int, np.ndarray]:
    held = catalogue.changes(SPACE, since=0)
    return dict(zip(held.keys.tolist(), held.rows, strict=True))


def check(snapshot: Snapshot, catalogue: Catalogue, queries: Vectors, *, k: int = 10) -> None:
    """Every hit, every score and every place is the oracle's."""
    truth = truth_of(catalogue)
    for query, hits in zip(queries, snapshot.search(queries, k=k), strict=True):
        assert [(hit.key, hit.score) for hit in hits] == brute_force(truth, query, k=k)


def test_search_is_exact(catalogue: Catalogue, gallery: LiveGallery, factory: str) -> None:
    fill(catalogue, unit_rows(150))
    publish_now(catalogue, factory)
    snapshot = view(gallery)
    assert (snapshot.generation, snapshot.count, snapshot.is_exact) == (1, 150, True)
    check(snapshot, catalogue, unit_rows(7, seed=5))
    check(snapshot, catalogue, unit_rows(1, seed=6), k=150)
    check(snapshot, catalogue, unit_rows(1, seed=7), k=1000)


def test_equal_vectors_come_in_order_of_key(
    catalogue: Catalogue, gallery: LiveGallery, factory: str
) -> None:
    rows = np.repeat(unit_rows(4), 15, axis=0)
    fill(catalogue, rows)
    publish_now(catalogue, factory)
    check(view(gallery), catalogue, unit_rows(4), k=7)
    # Half of a row of equals is cut off: the first ones stay.
    keys = [hit.key for hit in view(gallery).search(unit_rows(4)[:1], k=7)[0]]
    assert keys == sorted(keys)


def test_what_is_written_and_replaced_afterwards_is_found(
    catalogue: Catalogue, gallery: LiveGallery, factory: str
) -> None:
    fill(catalogue, unit_rows(60))
    publish_now(catalogue, factory)
    catalogue.upsert(SPACE, [new_item("007", unit_rows(1, seed=9)[0], mtime_ns=2)])
    fill(catalogue, unit_rows(5, seed=3), first=60)
    snapshot = view(gallery)
    assert snapshot.count == 65
    check(snapshot, catalogue, unit_rows(6, seed=8))
    check(snapshot, catalogue, unit_rows(1, seed=9))


def test_what_was_deleted_is_gone_at_once_and_after_a_reindex(
    catalogue: Catalogue, gallery: LiveGallery, factory: str
) -> None:
    rows = unit_rows(80)
    fill(catalogue, rows)
    publish_now(catalogue, factory)
    catalogue.delete([f"{n:03}" for n in range(0, 80, 2)])
    check(view(gallery), catalogue, rows[:4])
    publish_now(catalogue, factory)
    assert view(gallery).generation == 2
    check(view(gallery), catalogue, rows[:4])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_filter_finds_the_best_of_what_it_leaves(
    share: float, catalogue: Catalogue, gallery: LiveGallery, factory: str
) -> None:
    fill(catalogue, unit_rows(100))
    publish_now(catalogue, factory)
    truth = truth_of(catalogue)
    wanted = np.array(sorted(truth)[:: round(1 / share)], np.int64)
    only = view(gallery).only(wanted)
    for query in unit_rows(3, seed=4):
        found = [(hit.key, hit.score) for hit in only.search(query[None], k=5)[0]]
        assert found == brute_force({key: truth[key] for key in wanted.tolist()}, query, k=5)


def test_the_rows_themselves_come_back(
    catalogue: Catalogue, gallery: LiveGallery, factory: str
) -> None:
    fill(catalogue, unit_rows(30))
    publish_now(catalogue, factory)
    truth = truth_of(catalogue)
    asked = np.array([20, 3, 11, 999], np.int64)
    keys, rows = view(gallery).rows_of(asked)
    assert keys.tolist() == [3, 11, 20]
    assert np.array_equal(rows, np.stack([truth[key] for key in keys.tolist()]))


def test_a_swap_leaves_old_snapshots_as_they_were_and_rolls_back(
    catalogue: Catalogue, gallery: LiveGallery, factory: str
) -> None:
    fill(catalogue, unit_rows(40))
    publish_now(catalogue, factory)
    old, query = view(gallery), unit_rows(1, seed=2)
    before = old.search(query, k=5)
    fill(catalogue, query, first=40)
    publish_now(catalogue, factory)
    assert view(gallery).generation == 2
    assert view(gallery).search(query, k=1)[0][0].score == pytest.approx(1.0)
    assert old.search(query, k=5) == before
    steering.promote(catalogue, catalogue.path.parent, 1, expected=None)
    assert view(gallery).generation == 1
    # Rolled back is the index, not the truth: what came later is in the tail.
    check(view(gallery), catalogue, query)


def test_a_restart_finds_the_same(catalogue: Catalogue, tmp_path: Path, factory: str) -> None:
    fill(catalogue, unit_rows(50))
    publish_now(catalogue, factory)
    if milvus.is_address(factory):
        uri = milvus.Address.of(factory).uri
        milvus._client(uri).close()
        milvus._client.cache_clear()
    live = LiveGallery(tmp_path, poll_s=3600)
    live.start()
    check(live.snapshot(SPACE.id), catalogue, unit_rows(4, seed=1))
    live.close()


def test_a_snapshot_brings_back_what_was_there_here_and_elsewhere(
    catalogue: Catalogue, gallery: LiveGallery, tmp_path: Path, factory: str
) -> None:
    fill(catalogue, unit_rows(60))
    publish_now(catalogue, factory)
    backup.create(catalogue, tmp_path, name="whole")
    shutil.copytree(tmp_path / "snapshots", tmp_path / "elsewhere" / "snapshots")
    catalogue.delete(["001", "002"])
    publish_now(catalogue, factory)
    restore(catalogue, tmp_path, "whole")
    with closing(Catalogue.open(tmp_path / "elsewhere")) as fresh:
        restore(fresh, tmp_path / "elsewhere", "whole")
        publish_now(fresh, "Flat")
        assert len(truth_of(fresh)) == 60
    check(view(gallery), catalogue, unit_rows(3, seed=9))
    publish_now(catalogue, factory)
    check(view(gallery), catalogue, unit_rows(3, seed=9))
    assert view(gallery).count == 60


def test_spaces_are_never_mixed(catalogue: Catalogue, gallery: LiveGallery, factory: str) -> None:
    rows = unit_rows(40)
    fill(catalogue, rows[:20])
    publish_now(catalogue, factory)
    known = [entry for entry in catalogue.known(OTHER.id) if not entry.has_vector]
    catalogue.add_vectors(OTHER, list(zip(known, rows[20:], strict=True)))
    publish_now(catalogue, factory, space=OTHER)
    gallery.refresh()
    one, other = gallery.snapshot(SPACE.id), gallery.snapshot(OTHER.id)
    assert (one.generation, other.generation) == (1, 2)
    check(one, catalogue, rows[20:24], k=20)
    assert other.search(rows[20:21], k=1)[0][0].score == pytest.approx(1.0)
    assert one.search(rows[20:21], k=1)[0][0].score < 0.99
    with pytest.raises(SpaceMismatch):
        gallery.snapshot("strange-000000000000")


def test_generations_that_went_take_their_index_along(
    catalogue: Catalogue, gallery: LiveGallery, factory: str
) -> None:
    for n in range(publish.KEPT + 2):
        fill(catalogue, unit_rows(12, seed=n), first=12 * n)
        publish_now(catalogue, factory)
    assert generations.published(catalogue.path.parent) == (2, 3, 4)
    check(view(gallery), catalogue, unit_rows(2, seed=30))
    if milvus.is_address(factory):
        address = milvus.Address.of(factory)
        held = milvus._client(address.uri).list_collections()
        mine = sorted(name for name in held if name.startswith(f"{address.name}_"))
        assert mine == [f"{address.name}_{n}" for n in (2, 3, 4)]


def _milvus_only(factory: str) -> milvus.Address:
    if not milvus.is_address(factory):
        pytest.skip("of Milvus alone")
    return milvus.Address.of(factory)


def test_the_alias_follows_what_is_live(catalogue: Catalogue, factory: str) -> None:
    address = _milvus_only(factory)
    fill(catalogue, unit_rows(20))
    client, alias = milvus._client(address.uri), milvus.alias_of(address.name, SPACE)
    for number in (1, 2):
        publish_now(catalogue, factory)
        assert client.describe_alias(alias)["collection_name"] == f"{address.name}_{number}"
    steering.promote(catalogue, catalogue.path.parent, 1, expected=None)
    assert client.describe_alias(alias)["collection_name"] == f"{address.name}_1"


def test_milvus_itself_leaves_out_what_is_not_wanted(factory: str) -> None:
    """Else a filter would fetch everything, over and over, and still be right in the end."""
    _milvus_only(factory)
    rows, query = unit_rows(50), unit_rows(1, seed=3)
    index = milvus.build(rows, factory=factory, generation=1)
    is_wanted = np.zeros(50, np.bool_)
    is_wanted[[4, 9, 30]] = True
    scores, positions = index.search_among(query, k=5, is_wanted=is_wanted)
    best = sorted([4, 9, 30], key=lambda n: -float(rows[n] @ query[0]))
    assert positions.tolist() == [[*best, -1, -1]]
    np.testing.assert_allclose(scores[0, :3], rows[best] @ query[0], atol=1e-6)


def test_a_collection_that_is_gone_or_was_written_to_is_refused(
    catalogue: Catalogue, tmp_path: Path, factory: str
) -> None:
    address = _milvus_only(factory)
    fill(catalogue, unit_rows(20))
    publish_now(catalogue, factory)
    directory = generations.directory_of(tmp_path, 1)
    client = milvus._client(address.uri)
    client.insert(f"{address.name}_1", [{"id": 20, "vector": unit_rows(1)[0]}])
    client.flush(f"{address.name}_1")
    with pytest.raises(InvalidGallery, match="holds 21 vectors, expected 20"):
        generations.Generation.open(directory)
    client.drop_alias(milvus.alias_of(address.name, SPACE))
    client.drop_collection(f"{address.name}_1")
    with pytest.raises(InvalidGallery, match="has no collection"):
        generations.Generation.open(directory)


def test_a_graph_in_milvus_passes_the_gate(
    catalogue: Catalogue, gallery: LiveGallery, factory: str
) -> None:
    _milvus_only(factory)
    fill(catalogue, unit_rows(300))
    publish_now(catalogue, factory.replace("/FLAT", "/HNSW"))
    found = view(gallery).search(unit_rows(300)[7:8], k=5)[0]
    assert (found[0].key, len(found)) == (8, 5)
    assert found[0].score == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    "factory",
    ["milvus+", "milvus+http://x:1", "milvus+http://x:1#shop", "milvus+http://x:1#sh-op/FLAT"],
)
def test_an_address_that_is_none_is_told_how_one_looks(factory: str) -> None:
    with pytest.raises(InvalidConfiguration, match="NAME/KIND"):
        publish.check_factory(factory, dim=16)


def test_without_pymilvus_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymilvus", None)
    with pytest.raises(MissingExtra, match=r"lorgnette-app\[milvus\]"):
        milvus.build(unit_rows(2), factory="milvus+http://x:1#shop/FLAT", generation=1)


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    if find_spec("pymilvus") is None:
        pytest.skip("the extra milvus is not installed")
    with warnings.catch_warnings(), pytest.raises(Unavailable, match="does not answer"):
        milvus.build(unit_rows(2), factory="milvus+http://127.0.0.1:9#shop/FLAT", generation=1)
