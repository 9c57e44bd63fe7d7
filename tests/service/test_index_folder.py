from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import service.embedding
from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import (
    BundleCorrupt,
    GalleryBusy,
    InvalidBundle,
    InvalidConfiguration,
    InvalidGallery,
    InvalidInput,
    NotEnoughMemory,
)
from service.gallery import generations, publish
from service.gallery.build import Options, Summary, index_folder, reindex
from service.gallery.catalogue import Catalogue
from service.gallery.files import refuse_if_writing, writer_lock
from service.gallery.snapshot import LiveGallery
from service.progress import Progress
from tests.service.gallery_rows import check_here, names_in
from tests.service.photographs import write_photograph, write_photographs
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "photos", 6)
    return tmp_path / "photos"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def other_teacher(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "other", role="gallery", space_seed=1)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photographs that were decoded."""
    seen: list[str] = []
    embed = service.embedding._embed

    def embed_and_note(encoder: Encoder, path: Path) -> service.embedding.Embedded:
        seen.append(path.name)
        return embed(encoder, path)

    monkeypatch.setattr(service.embedding, "_embed", embed_and_note)
    return seen


def ids(data: Path, space_id: str) -> list[str]:
    with closing(Catalogue.open(data)) as catalogue:
        return [entry.id for entry in catalogue.known(space_id) if entry.has_vector]


def index(folder: Path, data: Path, teacher: Bundle, **options: object) -> Summary:
    return index_folder(folder, data, teacher.directory, **options)  # type: ignore[arg-type]


def test_every_photograph_finds_itself_through_the_student(
    folder: Path, data: Path, teacher: Bundle, student: Bundle
) -> None:
    summary = index(folder, data, teacher)
    assert (summary.embedded, summary.unchanged, summary.skipped) == (6, 0, ())
    assert (summary.live.generation, summary.live.count) == (1, 6)
    encoder = Encoder(student)
    rows = np.stack([encoder.encode(path) for path in sorted(folder.iterdir())])
    with closing(LiveGallery(data)) as gallery, closing(Catalogue.open(data)) as catalogue:
        gallery.start()
        found = gallery.snapshot(student.space.id).search(rows, k=1)
        items = catalogue.items([hits[0].key for hits in found])
    assert [items[hits[0].key].id for hits in found] == [f"{n:03}.jpg" for n in range(6)]


def test_what_is_unchanged_is_not_read_again(
    folder: Path, data: Path, teacher: Bundle, reads: list[str]
) -> None:
    index(folder, data, teacher)
    reads.clear()
    summary = index(folder, data, teacher)
    assert reads == []
    assert (summary.embedded, summary.unchanged, summary.is_new_generation) == (0, 6, False)
    write_photograph(folder / "002.jpg", seed=99)
    os.utime(folder / "003.jpg", ns=(1, 1))
    write_photographs(folder, 1, first=6)
    again = index(folder, data, teacher)
    assert sorted(reads) == ["002.jpg", "003.jpg", "006.jpg"]
    assert (again.embedded, again.unchanged, again.live.generation) == (3, 4, 2)
    assert again.live.count == 7


def test_ids_are_posix_paths_below_the_folder(folder: Path, data: Path, teacher: Bundle) -> None:
    write_photographs(folder / "été 2024" / "Lac", 1)
    index(folder, data, teacher, prefix="family/")
    assert ids(data, teacher.space.id)[-1] == "family/été 2024/Lac/000.jpg"


def test_hidden_and_other_files_are_passed_over(folder: Path, data: Path, teacher: Bundle) -> None:
    write_photograph(folder / ".hidden.jpg", seed=50)
    write_photographs(folder / ".thumbnails", 2)
    (folder / "notes.txt").write_text("no photograph")
    shutil.copy(folder / "000.jpg", folder / "UPPER.JPG")
    (folder / "folder.jpg").mkdir()
    assert index(folder, data, teacher).embedded == 7


def test_a_loop_of_links_ends_and_each_folder_is_taken_once(
    folder: Path, data: Path, teacher: Bundle, tmp_path: Path
) -> None:
    write_photographs(tmp_path / "elsewhere", 2, first=20)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    index(folder, data, teacher)
    expected = [f"{n:03}.jpg" for n in range(6)] + ["link/020.jpg", "link/021.jpg"]
    assert ids(data, teacher.space.id) == expected


def test_broken_photographs_are_skipped_named_and_counted(
    folder: Path, data: Path, teacher: Bundle
) -> None:
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("hello")
    (folder / "cut.jpg").write_bytes((folder / "000.jpg").read_bytes()[:400])
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    summary = index(folder, data, teacher)
    assert summary.embedded == 6
    reasons = {skipped.name: skipped.reason for skipped in summary.skipped}
    assert sorted(reasons) == ["cut.jpg", "empty.jpg", "gone.jpg", "text.png"]
    assert "0 bytes" in reasons["empty.jpg"]
    assert "not an image we read" in reasons["text.png"]


def test_a_name_that_is_not_utf8_is_skipped_and_named(
    folder: Path, data: Path, teacher: Bundle
) -> None:
    shutil.copy(folder / "000.jpg", os.fsencode(folder) + b"/caf\xe9.jpg")
    (skipped,) = index(folder, data, teacher).skipped
    assert (skipped.name, skipped.reason) == ("caf?.jpg", "its name is not valid UTF-8: rename it")


def test_a_folder_of_broken_photographs_is_an_error(
    tmp_path: Path, data: Path, teacher: Bundle
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("no")
    (tmp_path / "photos" / "b.jpg").write_text("no")
    with pytest.raises(InvalidInput, match=r"none of the 2 photographs .* the first, a.jpg: "):
        index(tmp_path / "photos", data, teacher)
    assert not (data / "CURRENT").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no folder"),
        (lambda path: path.write_text("x"), "is a file, expected a folder"),
        (lambda path: path.mkdir(), "no photographs in"),
        (lambda path: (path / "sub").mkdir(parents=True), "no photographs in"),
    ],
)
def test_a_wrong_folder_is_one_clear_sentence(
    tmp_path: Path, data: Path, teacher: Bundle, make: object, message: str
) -> None:
    make(tmp_path / "wrong")  # type: ignore[operator]
    with pytest.raises(InvalidInput, match=message):
        index(tmp_path / "wrong", data, teacher)
    assert not data.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_one_clear_sentence(
    folder: Path, data: Path, teacher: Bundle
) -> None:
    folder.chmod(0)
    with pytest.raises(InvalidInput, match="cannot be listed"):
        index(folder, data, teacher)
    folder.chmod(0o700)


def test_a_student_is_no_teacher(folder: Path, data: Path, student: Bundle) -> None:
    with pytest.raises(InvalidBundle, match=r"query bundle .* expected a gallery bundle"):
        index(folder, data, student)
    assert not data.exists()


def test_a_teacher_with_a_flipped_byte_is_refused(
    folder: Path, data: Path, other_teacher: Bundle
) -> None:
    model = other_teacher.directory / "model.onnx"
    content = bytearray(model.read_bytes())
    content[-40] ^= 1
    model.write_bytes(content)
    with pytest.raises(BundleCorrupt):
        index(folder, data, other_teacher)
    assert not data.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(factory="Flatt"), "not a FAISS factory string"),
        (Options(factory="HNSW0"), "a number that is zero"),
        (Options(factory="IVF00,Flat"), "a number that is zero"),
        (Options(recall_gate=95.0), "between 0 and 1"),
        (Options(recall_gate=float("nan")), "between 0 and 1"),
        (Options(threads=0), "one or more threads"),
    ],
)
def test_options_that_cannot_work_are_refused_before_the_work(
    folder: Path, data: Path, teacher: Bundle, options: Options, message: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=message):
        index(folder, data, teacher, options=options)
    assert not data.exists()


def test_a_second_indexer_is_told_who_is_first(folder: Path, data: Path, teacher: Bundle) -> None:
    Catalogue.open(data).close()
    with writer_lock(data):
        with pytest.raises(GalleryBusy, match=f"process {os.getpid()} is indexing"):
            index(folder, data, teacher)
        with pytest.raises(GalleryBusy):
            refuse_if_writing(data)
    refuse_if_writing(data)
    assert index(folder, data, teacher).embedded == 6


def test_another_teacher_s_space_is_added_beside(
    folder: Path, data: Path, teacher: Bundle, other_teacher: Bundle
) -> None:
    index(folder, data, teacher)
    summary = index(folder, data, other_teacher)
    assert (summary.embedded, summary.live.generation) == (6, 2)
    current = generations.read_current(data)
    assert current == {teacher.space.id: 1, other_teacher.space.id: 2}
    assert index(folder, data, teacher).is_new_generation is False


def test_another_factory_builds_anew_and_is_kept(
    folder: Path, data: Path, teacher: Bundle, reads: list[str]
) -> None:
    index(folder, data, teacher)
    reads.clear()
    summary = index(folder, data, teacher, options=Options(factory="HNSW8"))
    assert (summary.live.factory, summary.is_new_generation, reads) == ("HNSW8", True, [])
    write_photographs(folder, 1, first=6)
    assert index(folder, data, teacher).live.factory == "HNSW8"


def test_a_factory_beyond_the_memory_is_one_clear_sentence(
    folder: Path, data: Path, teacher: Bundle
) -> None:
    with pytest.raises(NotEnoughMemory, match="does not fit in memory"):
        index(folder, data, teacher, options=Options(factory="HNSW1000000000"))
    assert index(folder, data, teacher).live.factory == "Flat"


def test_progress_counts_every_photograph(folder: Path, data: Path, teacher: Bundle) -> None:
    (folder / "broken.jpg").write_text("no")
    told: list[Progress] = []
    index(folder, data, teacher, options=Options(threads=2, report=told.append))
    embedding = [progress for progress in told if progress.stage == "embedding"]
    assert [(progress.done, progress.total) for progress in embedding] == [
        (done, 7) for done in range(8)
    ]
    assert embedding[0].rate is None
    assert embedding[-1].eta_s == 0
    stages = [progress.stage for progress in told[-2:]]
    assert stages == ["building the index", "checking the index"]


def test_stopping_keeps_what_was_acknowledged(
    data: Path, teacher: Bundle, tmp_path: Path, reads: list[str]
) -> None:
    write_photographs(tmp_path / "many", 100)

    def stop_at_70(progress: Progress) -> None:
        if progress.done == 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index(tmp_path / "many", data, teacher, options=Options(report=stop_at_70))
    assert ids(data, teacher.space.id) == [f"{n:03}.jpg" for n in range(64)]
    reads.clear()
    assert index(tmp_path / "many", data, teacher).embedded == 36
    assert len(reads) == 36


def test_reindexing_embeds_what_the_new_space_lacks(
    folder: Path, data: Path, teacher: Bundle, other_teacher: Bundle
) -> None:
    index(folder, data, teacher)
    (folder / "001.jpg").unlink()
    write_photograph(folder / "002.jpg", seed=77)
    (folder / "003.jpg").write_text("broken")
    os.utime(folder / "003.jpg", ns=(1, 1))
    summary = reindex(data, other_teacher.directory)
    assert (summary.embedded, summary.unchanged) == (3, 0)
    reasons = {skipped.name: skipped.reason for skipped in summary.skipped}
    assert sorted(reasons) == ["001.jpg", "002.jpg", "003.jpg"]
    assert "No such file" in reasons["001.jpg"]
    assert "has changed" in reasons["002.jpg"]
    assert generations.read_current(data) == {teacher.space.id: 1, other_teacher.space.id: 2}
    again = reindex(data, other_teacher.directory)
    assert (again.embedded, again.unchanged, again.live.generation) == (0, 3, 3)


def test_reindexing_folds_deletions_and_the_tail_in(
    folder: Path, data: Path, teacher: Bundle
) -> None:
    index(folder, data, teacher)
    with closing(Catalogue.open(data)) as catalogue:
        catalogue.delete(["000.jpg", "004.jpg"])
    summary = reindex(data, teacher.directory)
    assert (summary.live.count, summary.live.generation) == (4, 2)


def test_reindexing_heals_a_damaged_index(folder: Path, data: Path, teacher: Bundle) -> None:
    index(folder, data, teacher)
    damaged = generations.directory_of(data, 1) / "index.faiss"
    damaged.unlink()
    damaged.write_bytes(b"damaged")
    with pytest.raises(InvalidGallery, match="lorgnette reindex"):
        LiveGallery(data).start()
    reindex(data, teacher.directory)
    with closing(LiveGallery(data)) as gallery:
        gallery.start()
        assert gallery.snapshot(teacher.space.id).generation == 2


def test_reindexing_needs_a_gallery(data: Path, teacher: Bundle) -> None:
    with pytest.raises(InvalidGallery, match="make one with `lorgnette index FOLDER`"):
        reindex(data, teacher.directory)
    assert not data.exists()


def test_nothing_but_the_gallery_s_files_is_left(folder: Path, data: Path, teacher: Bundle) -> None:
    index(folder, data, teacher)
    assert names_in(data) == ["CURRENT", "catalogue.sqlite", "generations", "writer.lock"]
