"""A student's queries, mapped to the gallery: learned from files, kept, used, and let go."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from lorgnette.alignment import learn_alignment
from lorgnette.bundle import Bundle
from lorgnette.client import Client
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidBundle, InvalidGallery
from service.gallery import aligning, alignments, backup, steering
from service.gallery.aligning import Options, align, align_fitting
from service.gallery.alignments import Alignments, listed, put_alignment
from service.gallery.build import index_folder, reindex
from service.gallery.catalogue import Catalogue
from service.gallery.restore import restore
from service.progress import Progress
from service.settings import Settings
from tests.service.photographs import write_photograph, write_photographs
from tests.service.serving import eventually, serving
from tests.tiny_bundle import write_tiny_bundle

COUNT = 40
STUDENT = "tiny-query@1"


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return write_photographs(tmp_path / "photos", COUNT)


@pytest.fixture
def data(tmp_path: Path, photos: list[Path], teacher: Bundle) -> Path:
    index_folder(tmp_path / "photos", tmp_path / "data", teacher.directory)
    return tmp_path / "data"


@pytest.fixture
def catalogue(data: Path) -> Iterator[Catalogue]:
    with closing(Catalogue.open(data)) as opened:
        yield opened


@pytest.fixture
def client(data: Path, student: Bundle, teacher: Bundle) -> Iterator[httpx.Client]:
    settings = Settings(data=data, students=(student.directory,), teacher=teacher.directory)
    with serving(settings) as opened:
        yield opened


def test_it_is_learned_from_the_photographs_and_their_teacher(
    catalogue: Catalogue, data: Path, photos: list[Path], teacher: Bundle, student: Bundle
) -> None:
    """Equal to the closed form on rows made here, in another order of photographs."""
    found = align(catalogue, data, Encoder(student))
    light, heavy = (
        np.stack([Encoder(bundle).encode(photo) for photo in photos])
        for bundle in (student, teacher)
    )
    wanted = learn_alignment(light, heavy)
    np.testing.assert_allclose(found.origin, wanted.origin, atol=1e-6)
    np.testing.assert_allclose(found.target, wanted.target, atol=1e-6)
    assert found.photographs == COUNT
    with catalogue.reading() as connection:
        kept = Alignments().of(connection, student.space, STUDENT)
    assert kept is not None
    np.testing.assert_array_equal(kept.matrix, found.matrix)


def test_a_search_that_names_its_student_is_mapped(
    client: httpx.Client,
    catalogue: Catalogue,
    photos: list[Path],
    student: Bundle,
    teacher: Bundle,
) -> None:
    learned = align(catalogue, catalogue.path.parent, Encoder(student))
    row = Encoder(student).encode(photos[3])[None]
    gallery = np.stack([Encoder(teacher).encode(photo) for photo in photos])
    asked = {"space": student.space.id, "vectors": row.tolist(), "k": COUNT}
    answers = [
        client.post("/search", json=asked | more).json()
        for more in ({"student": STUDENT}, {}, {"student": "another@1"})
    ]
    assert [answer["is_aligned"] for answer in answers] == [True, False, False]
    for answer, query in zip(answers, (learned(row), row, row), strict=True):
        scores = {hit["id"]: hit["score"] for hit in answer["results"][0]}
        wanted = dict(zip((p.name for p in photos), (gallery @ query[0]).tolist(), strict=True))
        assert scores == pytest.approx(wanted, abs=1e-5)


def test_raw_vectors_and_photographs_are_mapped_too(
    client: httpx.Client, catalogue: Catalogue, data: Path, photos: list[Path], student: Bundle
) -> None:
    align(catalogue, data, Encoder(student))
    row = Encoder(student).encode(photos[5])[None]
    params = {"space": student.space.id, "dtype": "f32", "student": STUDENT}
    octets = {"content-type": "application/octet-stream"}
    raw = client.post("/search", params=params, content=row.tobytes(), headers=octets).json()
    image = {"content-type": "image/jpeg"}
    photo = client.post("/search/image", content=photos[5].read_bytes(), headers=image).json()
    asked = {"space": student.space.id, "vectors": row.tolist(), "student": STUDENT}
    plain = client.post("/search", json=asked).json()
    assert raw["results"] == plain["results"] == photo["results"]
    assert [raw["is_aligned"], photo["is_aligned"]] == [True, True]


def test_the_sdk_says_who_embedded(
    client: httpx.Client, catalogue: Catalogue, data: Path, photos: list[Path], student: Bundle
) -> None:
    align(catalogue, data, Encoder(student))
    with Client(str(client.base_url), encoder=Encoder(student)) as sdk:
        rows = Encoder(student).encode(photos[0])[None]
        hits = sdk.search(photos[0], k=5)
        named = sdk.search_vectors(rows, space=student.space, student=STUDENT, k=5)
        (info,) = sdk.spaces()
    assert named.is_aligned
    assert [hit.id for hit in hits] == [hit.id for hit in named.results[0]]
    (known,) = info.alignments
    assert (known.student, known.photographs) == (STUDENT, COUNT)
    assert known.after > known.before


def test_one_learned_again_is_used_at_once(
    client: httpx.Client, catalogue: Catalogue, data: Path, photos: list[Path], student: Bundle
) -> None:
    learned = align(catalogue, data, Encoder(student))
    row = Encoder(student).encode(photos[0])[None]
    asked = {"space": student.space.id, "vectors": row.tolist(), "student": STUDENT, "k": COUNT}
    before = client.post("/search", json=asked).json()["results"]
    turned = replace(learned, matrix=-learned.matrix)
    put_alignment(catalogue, student.space, student=STUDENT, learned=turned)
    after = client.post("/search", json=asked).json()["results"]
    assert [hit["id"] for hit in after[0]] == [hit["id"] for hit in reversed(before[0])]


def test_one_learned_again_within_a_millisecond_or_after_a_restore_is_another(
    catalogue: Catalogue, data: Path, student: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignments, "now", lambda: "2026-01-01T00:00:00.000Z")
    held, learned = Alignments(), align(catalogue, data, Encoder(student))
    backup.create(catalogue, data, name="before")
    for strength in (1.0, 2.0, 3.0):
        again = replace(learned, strength=strength)
        put_alignment(catalogue, student.space, student=STUDENT, learned=again)
        with catalogue.reading_once() as connection:
            used = held.of(connection, student.space, STUDENT)
        assert used is not None
        assert used.strength == strength
        restore(catalogue, data, "before")


def test_scores_about_the_gallerys_mean_are_no_drift_of_the_others(
    client: httpx.Client, catalogue: Catalogue, data: Path, photos: list[Path], student: Bundle
) -> None:
    align(catalogue, data, Encoder(student))
    row = Encoder(student).encode(photos[0])[None]
    asked = {"space": student.space.id, "vectors": row.tolist()}
    for more in ({}, who(), who()):
        client.post("/search", json=asked | more).raise_for_status()
    text = client.get("/metrics").text
    for scale, count in ((student.space.id, 1), (f"{student.space.id}+aligned", 2)):
        assert f'lorgnette_query_top_score_count{{space="{scale}"}} {count}.0' in text


def test_a_damaged_one_is_not_used(
    client: httpx.Client,
    catalogue: Catalogue,
    photos: list[Path],
    student: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    align(catalogue, catalogue.path.parent, Encoder(student))
    with closing(sqlite3.connect(catalogue.path)) as connection, connection:
        connection.execute("UPDATE alignments SET matrix = substr(matrix, 1, 100)")
    row = Encoder(student).encode(photos[0])[None]
    asked = {"space": student.space.id, "vectors": row.tolist(), "k": 5}
    plain, named = (client.post("/search", json=asked | more).json() for more in ({}, who()))
    assert not named["is_aligned"]
    assert named["results"] == plain["results"]
    assert "an alignment is not used" in caplog.text


def who() -> dict[str, str]:
    return {"student": STUDENT}


def test_gone_photographs_are_passed_over_and_too_few_refused(
    catalogue: Catalogue, data: Path, photos: list[Path], student: Bundle
) -> None:
    for photo in photos[:10]:
        photo.unlink()
    write_photograph(photos[10], seed=999)
    photos[11].write_bytes(b"no photograph")
    assert align(catalogue, data, Encoder(student)).photographs == COUNT - 12
    for photo in photos[10:30]:
        photo.unlink(missing_ok=True)
    with pytest.raises(InvalidGallery, match="10 readable photographs"):
        align(catalogue, data, Encoder(student))
    assert listed(catalogue, student.space.id)[0].photographs == COUNT - 12


def test_photographs_replaced_or_deleted_while_they_are_embedded_are_left_out(
    catalogue: Catalogue, data: Path, photos: list[Path], teacher: Bundle, student: Bundle
) -> None:
    def meanwhile(progress: Progress) -> None:
        if progress.done == 1:
            for n, photo in enumerate(photos[:9]):
                write_photograph(photo, seed=500 + n)
            index_folder(data.parent / "photos", data, teacher.directory)
            catalogue.delete([photo.name for photo in photos[9:12]])

    options = Options(report=meanwhile)
    found = align(catalogue, data, Encoder(student), options=options)
    assert found.photographs == COUNT - 12


def test_photographs_that_are_all_alike_say_nothing(
    tmp_path: Path, teacher: Bundle, student: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    """Their mapped queries would point nowhere: every search of them was refused."""
    (tmp_path / "same").mkdir()
    for n in range(COUNT):
        write_photograph(tmp_path / "same" / f"{n}.jpg", seed=1)
    index_folder(tmp_path / "same", tmp_path / "data", teacher.directory)
    with closing(Catalogue.open(tmp_path / "data")) as opened:
        assert align_fitting(opened, tmp_path / "data", [student.directory]) == {}
    assert "all alike" in caplog.text


def test_a_student_of_another_dimension_is_wrong_not_the_gallery(
    catalogue: Catalogue, data: Path, tmp_path: Path, student: Bundle
) -> None:
    other = write_tiny_bundle(tmp_path / "other", role="query", dim=8)
    space = other.manifest.space.model_copy(update={"id": student.space.id})
    manifest = other.manifest.model_copy(update={"space": space})
    with pytest.raises(InvalidBundle, match=r"has 16 dimensions, the bundle .* states 8"):
        align(catalogue, data, Encoder(replace(other, manifest=manifest)))


def test_a_space_retired_while_a_student_is_aligned_keeps_nothing(
    catalogue: Catalogue, data: Path, tmp_path: Path, student: Bundle, teacher: Bundle
) -> None:
    learned = align(catalogue, data, Encoder(student))
    reindex(data, write_tiny_bundle(tmp_path / "newer", role="gallery", space_seed=3).directory)
    steering.retire(catalogue, data, teacher.space.id)
    with pytest.raises(InvalidGallery, match="retired"):
        put_alignment(catalogue, student.space, student=STUDENT, learned=learned)
    assert listed(catalogue, teacher.space.id) == []


def test_a_large_gallery_is_sampled(
    catalogue: Catalogue, data: Path, student: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aligning, "MOST_PHOTOGRAPHS", 20)
    assert align(catalogue, data, Encoder(student)).photographs == 20


def test_only_students_that_fit_are_aligned(
    catalogue: Catalogue, data: Path, tmp_path: Path, student: Bundle, teacher: Bundle
) -> None:
    other = write_tiny_bundle(tmp_path / "other", role="query", space_seed=7)
    none = tmp_path / "none"
    asked = [other.directory, none, teacher.directory, student.directory]
    assert list(align_fitting(catalogue, data, asked)) == [STUDENT]


def test_a_retired_space_takes_its_alignments_along(
    catalogue: Catalogue, data: Path, tmp_path: Path, student: Bundle, teacher: Bundle
) -> None:
    align(catalogue, data, Encoder(student))
    newer = write_tiny_bundle(tmp_path / "newer", role="gallery", space_seed=3)
    reindex(data, newer.directory)
    steering.retire(catalogue, data, teacher.space.id)
    assert listed(catalogue, teacher.space.id) == []


def test_a_reindex_job_aligns_the_configured_students(
    client: httpx.Client, student: Bundle
) -> None:
    job = client.post("/admin/reindex", json={}).json()
    address = f"/admin/jobs/{job['id']}"
    eventually(lambda: client.get(address).json()["state"] not in ("queued", "running"))
    done = client.get(address).json()
    assert done["state"] == "succeeded", json.dumps(done)
    assert done["result"]["aligned"] == [STUDENT]
    (space,) = client.get("/spaces").json()["spaces"]
    assert [known["student"] for known in space["alignments"]] == [STUDENT]
