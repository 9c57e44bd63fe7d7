from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lorgnette.errors import InvalidConfiguration, InvalidInput, MissingExtra
from service.demo.galleries import own_gallery, sample_gallery
from service.demo.photographs import PHOTOGRAPHS, VIEWS, gallery_size
from service.gallery.scan import scan
from tests.demo.pictures import numbered, write_pictures


@pytest.fixture
def scikit_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that carries pictures where scikit-image does, and fails when it is imported."""
    package = tmp_path / "site" / "skimage"
    write_pictures(package / "data", *PHOTOGRAPHS)
    (package / "__init__.py").write_text("raise ImportError('must not be imported')")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    return package / "data"


def nothing() -> None:
    """What to do after each picture."""


@pytest.mark.usefixtures("scikit_image")
def test_the_sample_gallery_holds_each_photograph_and_its_views(tmp_path: Path) -> None:
    seen: list[None] = []
    gallery = sample_gallery(tmp_path / "data", on_picture=lambda: seen.append(None))
    found = scan(gallery.photos).photographs
    assert len(found) == len(seen) == gallery_size()
    assert len({photo.path.read_bytes() for photo in found}) == gallery_size()
    assert sum(photo.id.startswith("chelsea/") for photo in found) == 1 + len(VIEWS)


@pytest.mark.usefixtures("scikit_image")
def test_no_query_is_a_picture_of_the_sample_gallery(tmp_path: Path) -> None:
    gallery = sample_gallery(tmp_path / "data", on_picture=nothing)
    pictures = {photo.path.read_bytes() for photo in scan(gallery.photos).photographs}
    assert len(gallery.queries) == 3
    assert not pictures & {query.path.read_bytes() for query in gallery.queries}
    for query in gallery.queries:
        assert (gallery.photos / query.photo).is_file()
        assert query.is_match(query.photo)
        assert query.is_match(f"{query.photo.split('/')[0]}/1-crop.jpg")
        assert not query.is_match("rocket/original.jpg")


@pytest.mark.usefixtures("scikit_image")
def test_a_finished_sample_gallery_is_not_made_again(tmp_path: Path) -> None:
    gallery = sample_gallery(tmp_path / "data", on_picture=nothing)
    before = {photo.id: photo.stamp for photo in scan(gallery.photos).photographs}
    again = sample_gallery(tmp_path / "data", on_picture=lambda: pytest.fail("made again"))
    assert {photo.id: photo.stamp for photo in scan(again.photos).photographs} == before


def test_a_half_made_sample_gallery_is_never_seen_and_made_anew(
    tmp_path: Path, scikit_image: Path
) -> None:
    class Stop(Exception):
        """Something that interrupts."""

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        sample_gallery(tmp_path / "data", on_picture=stop)
    assert not list((tmp_path / "data").rglob("gallery"))
    gallery = sample_gallery(tmp_path / "data", on_picture=nothing)
    assert len(scan(gallery.photos).photographs) == gallery_size()
    assert scikit_image.is_dir()


def test_without_scikit_image_the_error_names_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingExtra, match=r"pip install --no-deps .* --photos"):
        sample_gallery(tmp_path, on_picture=nothing)


def test_a_scikit_image_without_the_photographs_names_them(
    tmp_path: Path, scikit_image: Path
) -> None:
    (scikit_image / "rocket.jpg").unlink()
    with pytest.raises(InvalidConfiguration, match=r"lacks rocket\.jpg"):
        sample_gallery(tmp_path / "data", on_picture=nothing)


def test_queries_are_spread_over_the_users_photos(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", *numbered(9))
    gallery = own_gallery(photos, tmp_path / "data")
    assert [query.photo for query in gallery.queries] == [
        "photo-01.png",
        "photo-04.png",
        "photo-07.png",
    ]
    first = gallery.queries[0]
    assert first.is_match("photo-01.png")
    assert not first.is_match("photo-02.png")
    assert not first.is_match("gone.png")


def test_a_byte_identical_copy_is_as_right_as_the_photo_itself(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", *numbered(3))
    copy = photos / "album" / "copy.png"
    copy.parent.mkdir()
    copy.write_bytes((photos / "photo-02.png").read_bytes())
    queries = own_gallery(photos, tmp_path / "data").queries
    assert [query.is_match("album/copy.png") for query in queries].count(True) >= 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_folder_of_few_photos_gets_as_many_queries(tmp_path: Path, count: int) -> None:
    photos = write_pictures(tmp_path / "photos", *numbered(count))
    assert len(own_gallery(photos, tmp_path / "data").queries) == count


def test_broken_photos_are_passed_over(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", *numbered(9))
    for broken in ("photo-01.png", "photo-04.png", "photo-05.png"):
        (photos / broken).write_bytes(b"broken")
    found = [query.photo for query in own_gallery(photos, tmp_path / "data").queries]
    assert found == ["photo-02.png", "photo-03.png", "photo-07.png"]


def test_two_folders_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    homes = {
        own_gallery(
            write_pictures(tmp_path / parent / "photos", *numbered(1)), tmp_path / "data"
        ).home
        for parent in ("a", "b")
    }
    assert len(homes) == 2


def test_a_folder_that_cannot_be_searched_is_refused_in_one_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    a_file = write_pictures(tmp_path, "photo.png") / "photo.png"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "photo.jpg").write_bytes(b"")
    for folder, reason in (
        (tmp_path / "nowhere", "no folder"),
        (empty, "no photographs"),
        (a_file, "is a file"),
        (broken, "none of the 1 photographs"),
    ):
        with pytest.raises(InvalidInput, match=reason):
            own_gallery(folder, tmp_path / "data")


def test_data_inside_the_photos_is_refused(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", *numbered(1))
    for data in (photos, photos / "demo-data"):
        with pytest.raises(InvalidConfiguration, match="inside the photos"):
            own_gallery(photos, data)


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", *numbered(1))
    in_the_way = tmp_path / "data"
    in_the_way.write_text("a file")
    with pytest.raises(InvalidConfiguration, match="--data"):
        own_gallery(photos, in_the_way)
