"""Snapshots: whole under writes, verified before a restore, and a restored gallery is exact."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lorgnette.errors import (
    Conflict,
    DiskFull,
    GalleryBusy,
    InvalidGallery,
    InvalidRequest,
    NotFound,
)
from service.gallery import backup, generations, publish, sources, writes
from service.gallery.answers import Token, recall, remember
from service.gallery.catalogue import CATALOGUE_NAME, Catalogue
from service.gallery.files import writer_lock
from service.gallery.records import Put
from service.gallery.restore import restore
from service.gallery.snapshot import LiveGallery
from tests.service.gallery_rows import SPACE, check_here, fill, ids_and_scores, names_in, unit_rows

QUERIES = unit_rows(3, seed=9)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with closing(Catalogue.open(tmp_path)) as opened:
        fill(opened, unit_rows(40))
        publish_now(opened)
        fill(opened, unit_rows(5, seed=1), first=40)
        yield opened


def publish_now(catalogue: Catalogue) -> int:
    data = catalogue.path.parent
    return publish.publish(catalogue, data, SPACE, factory="Flat", recall_gate=1).generation


def answers(catalogue: Catalogue) -> list[list[tuple[str, float]]]:
    """What a server that starts now would say."""
    with closing(LiveGallery(catalogue.path.parent)) as gallery:
        gallery.start()
        return ids_and_scores(gallery.snapshot(SPACE.id), catalogue, QUERIES, k=100)


def put_image(catalogue: Catalogue, item_id: str, content: bytes) -> Path:
    data = catalogue.path.parent
    source, stamp = sources.store(data, content)
    vectors = {SPACE: unit_rows(1, seed=len(content))[0]}
    put = Put(id=item_id, source=source, stamp=stamp, metadata={}, vectors=vectors)
    writes.write(catalogue, [put])
    return data / source


def test_a_restored_gallery_is_what_it_was_and_goes_on_from_there(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    before = answers(catalogue)
    taken = backup.create(catalogue, tmp_path, name="monday")
    assert (taken.seq, taken.items) == (catalogue.seq(), 45)
    with closing(LiveGallery(tmp_path, poll_s=3600)) as running:
        running.start()
        catalogue.delete([f"{n:03}" for n in range(30)])
        fill(catalogue, unit_rows(20, seed=5), first=100)
        for _ in range(4):
            assert publish_now(catalogue) > 1
        running.refresh()
        assert running.snapshot(SPACE.id).count == 35
        seq = catalogue.seq()
        restore(catalogue, tmp_path, "monday")
        assert catalogue.seq() > seq
        running.refresh()
        assert ids_and_scores(running.snapshot(SPACE.id), catalogue, QUERIES, k=100) == before
    assert answers(catalogue) == before
    assert generations.published(tmp_path) == (1,)
    fill(catalogue, unit_rows(1, seed=6), first=200)
    keys = [entry.key for entry in catalogue.known(SPACE.id)]
    assert keys[-1] > 45, "a key was given twice"
    publish_now(catalogue)
    assert len(answers(catalogue)[0]) == 46
    assert names_in(tmp_path / "generations") == ["1", "2"]


def test_a_snapshot_copied_elsewhere_is_a_backup(catalogue: Catalogue, tmp_path: Path) -> None:
    image = put_image(catalogue, "sent", b"an encoded image")
    before = answers(catalogue)
    backup.create(catalogue, tmp_path, name="whole")
    other = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "snapshots", other / "snapshots")
    with closing(Catalogue.open(other)) as fresh:
        restore(fresh, other, "whole")
        assert answers(fresh) == before
    assert (other / image.relative_to(tmp_path)).read_bytes() == b"an encoded image"


def test_the_answer_of_a_reindex_is_kept_where_its_job_is(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    before, since = Token("reindex", "before", ""), Token("reindex", "since", "")
    batch = Token("items:batch", "before", "")

    def known_in(gallery: Catalogue) -> list[bool]:
        with gallery.reading() as connection:
            return [recall(connection, token) is not None for token in (before, since, batch)]

    for token in (before, batch):
        with catalogue.writing() as connection:
            remember(connection, token, "what was answered")
    backup.create(catalogue, tmp_path, name="whole")
    with catalogue.writing() as connection:
        remember(connection, since, "what was answered")
    shutil.copytree(tmp_path / "snapshots", tmp_path / "elsewhere" / "snapshots")
    with closing(Catalogue.open(tmp_path / "elsewhere")) as fresh:
        restore(fresh, tmp_path / "elsewhere", "whole")
        assert known_in(fresh) == [False, False, True]
    restore(catalogue, tmp_path, "whole")
    assert known_in(catalogue) == [True, True, True]


def test_links_cost_nothing_and_a_restore_brings_back_what_was_collected(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    image = put_image(catalogue, "sent", b"an encoded image")
    backup.create(catalogue, tmp_path, name="a")
    held = tmp_path / "snapshots" / "a"
    index = generations.directory_of(tmp_path, 1) / "index.faiss"
    assert (held / "generations" / "1" / "index.faiss").samefile(index)
    catalogue.delete(["sent"])
    os.utime(image, (0, 0))
    assert sources.collect(catalogue) == 1
    assert not image.exists()
    restore(catalogue, tmp_path, "a")
    assert image.read_bytes() == b"an encoded image"


def test_a_snapshot_under_writes_holds_one_moment(catalogue: Catalogue, tmp_path: Path) -> None:
    """Every batch writes the same number to ten items: in a snapshot they all say the same."""
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            vectors = {SPACE: unit_rows(1, seed=n)[0]}
            stamp = sources.Stamp(size=0, mtime_ns=0)
            puts = [
                Put(id=f"w{m}", source="", stamp=stamp, metadata={"n": n}, vectors=vectors)
                for m in range(10)
            ]
            writes.write(catalogue, puts)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        taken = [backup.create(catalogue, tmp_path, name=f"s{n}") for n in range(8)]
    finally:
        stop.set()
        writer.join()
    assert len({manifest.seq for manifest in taken}) > 2
    for manifest in taken:
        restore(catalogue, tmp_path, manifest.name)
        page = writes.page(catalogue, after=0, limit=1000)
        told = [item.metadata["n"] for item in page.items if item.id.startswith("w")]
        assert len(told) in (0, 10)
        assert len(set(told)) <= 1
        assert len(answers(catalogue)[0]) == manifest.items == len(page.items)


@pytest.mark.parametrize(
    "path", ["catalogue.sqlite", "CURRENT", "generations/1/index.faiss", "generations/1/keys.npy",
             "generations/1/manifest.json", "manifest.json"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["flipped", "cut", "lost", "linked"])
def test_a_damaged_snapshot_is_refused_before_anything_is_replaced(
    catalogue: Catalogue, tmp_path: Path, path: str, damage: str
) -> None:
    backup.create(catalogue, tmp_path, name="bad")
    fill(catalogue, unit_rows(1, seed=7), first=300)
    before = answers(catalogue)
    file = tmp_path / "snapshots" / "bad" / path
    content = bytearray(file.read_bytes())
    file.unlink()
    content[len(content) // 2] ^= 0xFF
    if damage == "flipped":
        file.write_bytes(content)
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    if damage == "linked":
        file.symlink_to(tmp_path / "writer.lock")
    with pytest.raises(InvalidGallery, match=str(file)):
        restore(catalogue, tmp_path, "bad")
    assert answers(catalogue) == before


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc", "a\0", "a.b", "é", "x" * 65, "-a", " "]
)
def test_a_name_that_could_lead_elsewhere_is_refused(
    catalogue: Catalogue, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidRequest, match="name: expected"):
        backup.create(catalogue, tmp_path, name=name)
    with pytest.raises(InvalidRequest, match="name: expected"):
        restore(catalogue, tmp_path, name)
    assert not (tmp_path / "snapshots").exists()


@pytest.mark.parametrize("path", ["../../outside", "/etc/passwd", "sources/aa/../x", "keys.json"])
def test_a_manifest_that_names_a_file_elsewhere_is_refused(
    catalogue: Catalogue, tmp_path: Path, path: str
) -> None:
    backup.create(catalogue, tmp_path, name="odd")
    file = tmp_path / "snapshots" / "odd" / "manifest.json"
    fields = json.loads(file.read_text())
    fields["files"][path] = fields["files"]["CURRENT"]
    file.write_text(json.dumps(fields))
    with pytest.raises(InvalidGallery, match=r"manifest\.json is damaged"):
        restore(catalogue, tmp_path, "odd")


def test_a_name_is_used_once_and_an_unknown_one_is_told(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    backup.create(catalogue, tmp_path, name="once")
    with pytest.raises(Conflict, match="'once' already"):
        backup.create(catalogue, tmp_path, name="once")
    with pytest.raises(NotFound, match="only once"):
        restore(catalogue, tmp_path, "twice")
    with writer_lock(tmp_path), pytest.raises(GalleryBusy):
        backup.create(catalogue, tmp_path, name="busy")
    with writer_lock(tmp_path), pytest.raises(GalleryBusy):
        restore(catalogue, tmp_path, "once")
    assert [manifest.name for manifest in backup.listed(tmp_path)] == ["once"]


def test_a_full_disk_leaves_no_half_snapshot(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "link", full)
    with pytest.raises(DiskFull):
        backup.create(catalogue, tmp_path, name="half")
    assert names_in(tmp_path / "snapshots") == []
    assert (tmp_path / CATALOGUE_NAME).is_file()


def test_a_running_service_follows_a_restore_that_changes_the_tail_alone(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    backup.create(catalogue, tmp_path, name="tail")
    with closing(LiveGallery(tmp_path, poll_s=3600)) as running:
        running.start()
        before = ids_and_scores(running.snapshot(SPACE.id), catalogue, QUERIES, k=100)
        catalogue.delete([f"{n:03}" for n in range(10)])
        fill(catalogue, unit_rows(5, seed=8), first=40)
        running.refresh()
        restore(catalogue, tmp_path, "tail")
        running.refresh()
        assert ids_and_scores(running.snapshot(SPACE.id), catalogue, QUERIES, k=100) == before


def test_a_key_is_not_given_twice_even_after_a_restore_to_nothing(tmp_path: Path) -> None:
    with closing(Catalogue.open(tmp_path)) as catalogue:
        backup.create(catalogue, tmp_path, name="empty")
        fill(catalogue, unit_rows(3))
        restore(catalogue, tmp_path, "empty")
        assert catalogue.known(SPACE.id) == ()
        fill(catalogue, unit_rows(2), first=50)
        assert [entry.key for entry in catalogue.known(SPACE.id)] == [4, 5]


def test_a_deleted_snapshot_is_gone_and_the_gallery_keeps_what_they_shared(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    image = put_image(catalogue, "kept", b"shared by both")
    before = answers(catalogue)
    backup.create(catalogue, tmp_path, name="monday")
    backup.create(catalogue, tmp_path, name="tuesday")
    backup.delete(tmp_path, "monday")
    assert [taken.name for taken in backup.listed(tmp_path)] == ["tuesday"]
    assert names_in(tmp_path / backup.SNAPSHOTS_NAME) == ["tuesday"]
    assert image.read_bytes() == b"shared by both"
    assert answers(catalogue) == before
    with pytest.raises(NotFound, match="only tuesday"):
        backup.delete(tmp_path, "monday")
    with writer_lock(tmp_path), pytest.raises(GalleryBusy):
        backup.delete(tmp_path, "tuesday")
    restore(catalogue, tmp_path, "tuesday")
    assert answers(catalogue) == before


def test_a_damaged_snapshot_and_a_linked_one_can_be_deleted(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    backup.create(catalogue, tmp_path, name="damaged")
    (backup.directory_of(tmp_path, "damaged") / backup.MANIFEST_NAME).write_text("{")
    backup.create(catalogue, tmp_path, name="elsewhere")
    moved = backup.directory_of(tmp_path, "elsewhere").rename(tmp_path / "disk")
    backup.directory_of(tmp_path, "elsewhere").symlink_to(moved)
    for name in ("damaged", "elsewhere"):
        backup.delete(tmp_path, name)
    assert names_in(tmp_path / backup.SNAPSHOTS_NAME) == []
    assert (moved / CATALOGUE_NAME).is_file()


def test_what_a_crash_left_of_one_is_never_listed_and_swept_by_the_next(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.create(catalogue, tmp_path, name="doomed")

    def die(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(shutil, "rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            backup.delete(tmp_path, "doomed")
    # As a crash in the middle of `create` leaves it; names by the time never come again.
    (tmp_path / backup.SNAPSHOTS_NAME / ".20200101.building").mkdir()
    assert backup.listed(tmp_path) == []
    with pytest.raises(NotFound):
        restore(catalogue, tmp_path, "doomed")
    backup.create(catalogue, tmp_path, name="next")
    assert names_in(tmp_path / backup.SNAPSHOTS_NAME) == ["next"]


@pytest.mark.parametrize("name", ["..", "../snapshots", "a/b", ".monday.deleting", "", "x" * 65])
def test_a_name_that_could_lead_elsewhere_deletes_nothing(
    catalogue: Catalogue, tmp_path: Path, name: str
) -> None:
    backup.create(catalogue, tmp_path, name="monday")
    with pytest.raises(InvalidRequest):
        backup.delete(tmp_path, name)
    assert (tmp_path / CATALOGUE_NAME).is_file()
    assert [taken.name for taken in backup.listed(tmp_path)] == ["monday"]
