"""Generations that do not belong to the catalogue beside them are not believed."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidGallery
from service.gallery import generations, publish
from service.gallery.build import index_folder, reindex
from service.gallery.catalogue import CATALOGUE_NAME, Catalogue
from service.gallery.snapshot import LiveGallery
from tests.service.gallery_rows import check_here
from tests.service.photographs import write_photographs


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "photos", 6)
    return tmp_path / "photos"


@pytest.fixture
def data(tmp_path: Path, folder: Path, teacher: Bundle) -> Path:
    """A gallery of six photographs, indexed in two writes."""
    write_photographs(tmp_path / "other", 2, first=20)
    index_folder(tmp_path / "other", tmp_path / "data", teacher.directory)
    shutil.copy(tmp_path / "data" / CATALOGUE_NAME, tmp_path / "older.sqlite")
    index_folder(folder, tmp_path / "data", teacher.directory)
    return tmp_path / "data"


def found_ids(data: Path, teacher: Bundle) -> list[str]:
    """What a server that starts now finds, all of it."""
    with closing(LiveGallery(data)) as gallery, closing(Catalogue.open(data)) as catalogue:
        gallery.start()
        snapshot = gallery.snapshot(teacher.space.id)
        row = teacher.golden()[0].vector
        (hits,) = snapshot.search(row, k=100)
        items = catalogue.items([hit.key for hit in hits])
        assert len(items) == len(hits) == snapshot.count
    return sorted(item.id for item in items.values())


def remove_catalogue(data: Path) -> None:
    for path in data.glob(f"{CATALOGUE_NAME}*"):
        path.unlink()


def test_after_the_catalogue_was_deleted_indexing_starts_afresh(
    data: Path, folder: Path, teacher: Bundle
) -> None:
    remove_catalogue(data)
    summary = index_folder(folder, data, teacher.directory)
    assert (summary.is_new_generation, summary.live.generation, summary.live.count) == (True, 3, 6)
    assert found_ids(data, teacher) == [f"{n:03}.jpg" for n in range(6)]


def test_after_an_older_catalogue_was_restored_nothing_is_missing(
    data: Path, folder: Path, teacher: Bundle, tmp_path: Path
) -> None:
    remove_catalogue(data)
    shutil.copy(tmp_path / "older.sqlite", data / CATALOGUE_NAME)
    assert index_folder(folder, data, teacher.directory).live.count == 8
    assert len(found_ids(data, teacher)) == 8


def test_a_server_does_not_start_on_an_index_of_another_catalogue(
    data: Path, teacher: Bundle, tmp_path: Path
) -> None:
    remove_catalogue(data)
    shutil.copy(tmp_path / "older.sqlite", data / CATALOGUE_NAME)
    with pytest.raises(
        InvalidGallery, match=r"generation 2 .* writes than the catalogue .*`reindex`"
    ):
        LiveGallery(data).start()
    reindex(data, teacher.directory)
    assert len(found_ids(data, teacher)) == 2


def test_a_running_server_keeps_its_view_when_the_catalogue_is_exchanged(
    data: Path, folder: Path, teacher: Bundle
) -> None:
    with closing(LiveGallery(data, poll_s=3600)) as gallery:
        gallery.start()
        before = gallery.snapshot(teacher.space.id)
        remove_catalogue(data)
        with pytest.raises(InvalidGallery, match="exchanged"):
            gallery.refresh()
        index_folder(folder, data, teacher.directory)
        with pytest.raises(InvalidGallery, match=r"exchanged .* restart"):
            gallery.refresh()
        assert gallery.snapshot(teacher.space.id) is before


@pytest.mark.parametrize("verb", ["index", "reindex"])
@pytest.mark.parametrize("damage", ["lost", "malformed"])
def test_a_generation_whose_manifest_is_lost_is_built_anew(
    data: Path, folder: Path, teacher: Bundle, verb: str, damage: str
) -> None:
    manifest = generations.directory_of(data, 2) / generations.MANIFEST_NAME
    manifest.unlink()
    if damage == "malformed":
        manifest.write_text('{"schema')
    if verb == "index":
        summary = index_folder(folder, data, teacher.directory)
    else:
        summary = reindex(data, teacher.directory)
    assert (summary.embedded, summary.live.generation, summary.live.count) == (0, 3, 8)
    assert len(found_ids(data, teacher)) == 8
