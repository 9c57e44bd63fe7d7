"""Folders whose photographs have the same names below them: none takes another's place unasked."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

import service.embedding
from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidInput
from service.gallery import publish
from service.gallery.build import index_folder
from service.gallery.catalogue import Catalogue
from tests.service.gallery_rows import check_here
from tests.service.photographs import write_photographs


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "first", 4)
    return tmp_path / "first"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def sources(data: Path, teacher: Bundle) -> dict[str, str]:
    with closing(Catalogue.open(data)) as catalogue:
        return {entry.id: entry.source for entry in catalogue.known(teacher.space.id)}


def test_a_second_folder_with_the_same_names_is_refused_before_anything_is_embedded(
    first: Path, data: Path, teacher: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_folder(first, data, teacher.directory)
    before = sources(data, teacher)
    write_photographs(tmp_path / "second", 2, first=3)

    def never(*_: object) -> None:
        raise AssertionError("a photograph was read")

    with monkeypatch.context() as patch:
        patch.setattr(service.embedding, "_embed", never)
        with pytest.raises(InvalidInput, match=r"003\.jpg .*first/003\.jpg.* --prefix second"):
            index_folder(tmp_path / "second", data, teacher.directory)
    assert sources(data, teacher) == before
    summary = index_folder(tmp_path / "second", data, teacher.directory, prefix="second")
    assert (summary.embedded, summary.live.count) == (2, 6)


def test_a_folder_that_was_moved_keeps_its_items(
    first: Path, data: Path, teacher: Bundle, tmp_path: Path
) -> None:
    index_folder(first, data, teacher.directory)
    moved = first.rename(tmp_path / "moved")
    assert index_folder(moved, data, teacher.directory).live.count == 4
    assert sources(data, teacher) == {f"{n:03}.jpg": str(moved / f"{n:03}.jpg") for n in range(4)}


def test_the_same_files_under_another_path_are_the_same_items(
    first: Path, data: Path, teacher: Bundle, tmp_path: Path
) -> None:
    index_folder(first, data, teacher.directory)
    (tmp_path / "mounted").mkdir()
    for path in first.iterdir():
        os.link(path, tmp_path / "mounted" / path.name)
    assert index_folder(tmp_path / "mounted", data, teacher.directory).live.count == 4


def test_a_folder_may_be_indexed_after_one_of_its_own_subfolders(
    first: Path, data: Path, teacher: Bundle
) -> None:
    write_photographs(first / "sub", 2)
    index_folder(first / "sub", data, teacher.directory)
    assert index_folder(first, data, teacher.directory).live.count == 6
    assert sources(data, teacher)["000.jpg"] == str(first / "000.jpg")
    assert sources(data, teacher)["sub/000.jpg"] == str(first / "sub" / "000.jpg")
