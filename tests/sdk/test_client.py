"""The two clients against a real server on loopback, well-behaved."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lorgnette import errors
from lorgnette.bundle import Bundle
from lorgnette.client import AsyncClient, Client
from lorgnette.encoder import Encoder
from lorgnette.manifest import Space
from lorgnette.wire import PackedVectors, SpacesResponse
from tests.sdk.library import JOB, search_route, spaces_of
from tests.sdk.loopback import Loopback, in_turn, ok, problem, serving
from tests.tiny_bundle import write_tiny_bundle


def test_a_photo_finds_itself(
    make: type[Client], library: Loopback, encoder: Encoder, photos: list[Path]
) -> None:
    with make(library.url, encoder=encoder) as client:
        for photo in photos:
            hits = client.search(photo, k=2)
            assert [len(hits), hits[0].id] == [2, photo.name]
            assert hits[0].score > 0.99


def test_only_the_vector_travels(
    make: type[Client], library: Loopback, encoder: Encoder, photos: list[Path]
) -> None:
    with make(library.url, encoder=encoder, key="s3cret") as client:
        client.search(photos[0])
    sent = library.received[-1]
    row = encoder.encode(photos[0])[None]
    assert json.loads(sent.body) == {
        "space": encoder.space.id,
        "student": "tiny-query@1",
        "vectors": PackedVectors.pack(row).model_dump(),
        "k": 10,
    }
    assert sent.headers["authorization"] == "Bearer s3cret"
    assert sent.headers["content-type"] == "application/json"


def test_the_handshake_happens_once(
    make: type[Client], library: Loopback, encoder: Encoder, photos: list[Path]
) -> None:
    with make(library.url, encoder=encoder) as client:
        client.search(photos[0])
        client.search(photos[1])
    assert library.paths() == ["GET /spaces", "POST /search", "POST /search"]


def test_a_foreign_space_is_refused_before_anything_is_sent(
    make: type[Client], library: Loopback, student: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    stranger = write_tiny_bundle(tmp_path / "other", role="query", space_seed=5)
    with (
        make(library.url, encoder=Encoder(stranger)) as client,
        pytest.raises(errors.SpaceMismatch) as caught,
    ):
        client.search(photos[0])
    assert caught.value.expected == (student.space.id,)
    assert caught.value.found == stranger.space.id
    assert caught.value.students == (student.manifest.name,)
    assert student.manifest.name in str(caught.value)
    assert library.paths() == ["GET /spaces"]


def test_a_refused_space_is_asked_about_again_at_the_next_search(
    make: type[Client], teacher: Bundle, encoder: Encoder, photos: list[Path]
) -> None:
    other = SpacesResponse(spaces=[])
    routes = {
        "GET /spaces": in_turn(ok(other), ok(spaces_of(teacher))),
        "POST /search": search_route(teacher, photos),
    }
    with serving(routes) as loopback, make(loopback.url, encoder=encoder) as client:
        with pytest.raises(errors.Unavailable, match="nothing indexed"):
            client.search(photos[0])
        assert client.search(photos[0])[0].id == photos[0].name


MISMATCH = problem(
    409, "space-mismatch", expected=["new-0123456789ab"], found="old", students=["student-2"]
)


def test_a_space_retired_meanwhile_is_rechecked_once(
    make: type[Client], teacher: Bundle, encoder: Encoder, photos: list[Path], tmp_path: Path
) -> None:
    successor = write_tiny_bundle(tmp_path / "next", role="gallery", space_seed=9)
    routes = {
        "GET /spaces": in_turn(ok(spaces_of(teacher)), ok(spaces_of(successor))),
        "POST /search": MISMATCH,
    }
    with serving(routes) as loopback:
        with make(loopback.url, encoder=encoder) as client, pytest.raises(errors.SpaceMismatch):
            client.search(photos[0])
        assert loopback.paths() == ["GET /spaces", "POST /search", "GET /spaces"]


def test_a_409_that_stays_does_not_loop(
    make: type[Client], teacher: Bundle, encoder: Encoder, photos: list[Path]
) -> None:
    routes = {"GET /spaces": ok(spaces_of(teacher)), "POST /search": MISMATCH}
    with serving(routes) as loopback:
        with (
            make(loopback.url, encoder=encoder) as client,
            pytest.raises(errors.SpaceMismatch) as caught,
        ):
            client.search(photos[0])
        assert loopback.paths() == ["GET /spaces", "POST /search"] * 2
    assert caught.value.expected == ("new-0123456789ab",)
    assert caught.value.students == ("student-2",)


def test_a_409_that_was_a_moment_is_survived(
    make: type[Client], teacher: Bundle, encoder: Encoder, photos: list[Path]
) -> None:
    routes = {
        "GET /spaces": ok(spaces_of(teacher)),
        "POST /search": in_turn(MISMATCH, search_route(teacher, photos)),
    }
    with serving(routes) as loopback, make(loopback.url, encoder=encoder) as client:
        assert client.search(photos[2])[0].id == photos[2].name


def test_vectors_embedded_elsewhere_are_searched_as_a_batch(
    make: type[Client], library: Loopback, encoder: Encoder, photos: list[Path]
) -> None:
    rows = np.stack([encoder.encode(photo) for photo in photos])
    with make(library.url) as client:
        response = client.search_vectors(rows, space=encoder.space, k=1)
    assert [hits[0].id for hits in response.results] == [photo.name for photo in photos]
    assert response.generation == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.ones((1, 3)), "16 numbers"),
        (np.ones(16), "shape"),
        (np.full((1, 16), np.nan), "NaN"),
        (np.zeros((1, 16)), "points nowhere"),
        (np.full((1, 16), 1e39), "too large"),
    ],
)
def test_a_bad_vector_never_leaves(
    make: type[Client], library: Loopback, encoder: Encoder, rows: np.ndarray, said: str
) -> None:
    with make(library.url) as client, pytest.raises(errors.InvalidVector, match=said):
        client.search_vectors(rows, space=encoder.space)
    assert library.paths() == []


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_never_leaves(
    make: type[Client], library: Loopback, encoder: Encoder, photos: list[Path], k: int
) -> None:
    with make(library.url, encoder=encoder) as client:
        with pytest.raises(errors.InvalidRequest, match=f"k is {k}"):
            client.search_vectors(np.ones((1, 16)), space=encoder.space, k=k)
        with pytest.raises(errors.InvalidRequest, match=f"k is {k}"):
            client.search_image(photos[0], k=k)
    assert library.paths() == []


def test_a_thin_client_sends_the_photo_itself(
    make: type[Client], library: Loopback, photos: list[Path]
) -> None:
    with make(library.url) as client:
        assert client.search_image(photos[1])[0].id == photos[1].name
        client.search_image(photos[1].read_bytes(), 3, space="tiny-0123456789ab")
    assert library.received[0].body == photos[1].read_bytes()
    assert library.received[0].headers["content-type"] == "image/jpeg"
    assert library.received[0].query == "k=10"
    assert library.received[1].query == "k=3&space=tiny-0123456789ab"


@pytest.mark.parametrize(
    ("photo", "said"),
    [(b"", "empty"), (b"%PDF-1.7", "not in a format"), ("no/such.jpg", "No such file")],
)
def test_what_is_no_photo_never_leaves(
    make: type[Client], library: Loopback, photo: bytes | str, said: str
) -> None:
    with make(library.url) as client, pytest.raises(errors.InvalidImage, match=said):
        client.search_image(photo)
    assert library.paths() == []


def test_search_without_an_encoder_says_what_to_do(
    make: type[Client], library: Loopback, photos: list[Path]
) -> None:
    with (
        make(library.url) as client,
        pytest.raises(errors.InvalidConfiguration, match="search_image"),
    ):
        client.search(photos[0])


def test_models_spaces_and_jobs_are_typed(
    make: type[Client], library: Loopback, student: Bundle
) -> None:
    with make(library.url) as client:
        assert client.models()[0].name == student.manifest.name
        assert client.spaces()[0].space == student.space
        assert client.job("job-1") == JOB
        assert client.reindex(factory="Flat") == JOB
    assert json.loads(library.received[-1].body) == {"factory": "Flat"}


@pytest.mark.parametrize("job_id", ["../spaces", "a/b", "a?b#c"])
def test_an_id_cannot_change_the_path(make: type[Client], library: Loopback, job_id: str) -> None:
    with make(library.url) as client, pytest.raises(errors.NotFound):
        client.job(job_id)
    assert library.received[0].path.startswith("/admin/jobs/")
    assert library.received[0].path.count("/") == 3


def test_one_client_serves_many_threads(
    library: Loopback, encoder: Encoder, photos: list[Path]
) -> None:
    with Client(library.url, encoder=encoder) as client, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda photo: client.search(photo)[0].id, photos * 8))
    assert found == [photo.name for photo in photos] * 8


def test_embedding_does_not_block_the_event_loop(
    library: Loopback, student: Bundle, photos: list[Path]
) -> None:
    may_finish = threading.Event()

    class Patient(Encoder):
        """Encodes only once the event loop has shown that it still turns."""

        def encode(self, image: object) -> np.ndarray:
            assert may_finish.wait(20)
            return super().encode(image)  # type: ignore[arg-type]

    async def both() -> str:
        async with AsyncClient(library.url, encoder=Patient(student)) as client:
            search = asyncio.create_task(client.search(photos[0]))
            await client.spaces()
            may_finish.set()
            return (await search)[0].id

    assert asyncio.run(both()) == photos[0].name


def test_a_space_of_another_dimension_is_another_space(
    make: type[Client], library: Loopback, encoder: Encoder
) -> None:
    odd = Space(id=encoder.space.id, dim=8)
    with make(library.url) as client, pytest.raises(errors.SpaceMismatch):
        client.search_vectors(np.ones((1, 8)), space=odd)
