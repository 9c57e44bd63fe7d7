"""The two clients against a real server on loopback, well-behaved and not."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from lorgnette import _answers, _retry, errors
from lorgnette.bundle import Bundle
from lorgnette.client import AsyncClient, Client
from lorgnette.encoder import Encoder
from lorgnette.error_codes import by_code
from lorgnette.errors import LorgnetteError
from lorgnette.manifest import Space
from lorgnette.wire import PackedVectors, SpacesResponse
from tests.sdk.library import JOB, search_route, spaces_of
from tests.sdk.loopback import RESET, Loopback, Received, Reply, in_turn, ok, problem, serving
from tests.tiny_bundle import write_tiny_bundle

# httpx reads every certificate authority for each new transport; loopback needs none.
PLAIN = ssl.create_default_context()


class AwaitedClient:
    """`AsyncClient` behind `Client`'s face, so that each test runs against both."""

    def __init__(self, base_url: str, **options: object) -> None:
        options.setdefault("transport", httpx.AsyncHTTPTransport(verify=PLAIN))
        self._client = AsyncClient(base_url, **options)  # type: ignore[arg-type]
        self._runner = asyncio.Runner()

    def __enter__(self) -> AwaitedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._client, name)
        return lambda *args, **kwargs: self._runner.run(method(*args, **kwargs))


def blocking_client(base_url: str, **options: object) -> Client:
    options.setdefault("transport", httpx.HTTPTransport(verify=PLAIN))
    return Client(base_url, **options)  # type: ignore[arg-type]


@pytest.fixture(params=[blocking_client, AwaitedClient], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> type[Client]:
    return request.param


@pytest.fixture(scope="module")
def encoder(student: Bundle) -> Encoder:
    return Encoder(student)


def spaces_call(make: type[Client], url: str, **options: object) -> object:
    with make(url, **options) as client:
        return client.spaces()


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


@pytest.mark.parametrize("status", sorted(_retry.RETRIED_STATUSES))
def test_a_passing_failure_is_retried(make: type[Client], teacher: Bundle, status: int) -> None:
    good = ok(spaces_of(teacher))
    with serving({"GET /spaces": in_turn(Reply(status), Reply(status), good)}) as loopback:
        assert spaces_call(make, loopback.url)
        assert len(loopback.received) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.BodyTooLarge),
        (418, errors.RefusedByServer),
        (422, errors.InvalidRequest),
        (501, errors.ServerFault),
    ],
)
def test_a_refusal_is_not_retried(
    make: type[Client], status: int, kind: type[LorgnetteError]
) -> None:
    with serving({"GET /spaces": Reply(status, b"<html>no</html>")}) as loopback:
        with pytest.raises(kind) as caught:
            spaces_call(make, loopback.url)
        assert type(caught.value) is kind
        assert "<html>no</html>" in str(caught.value)
        assert len(loopback.received) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(500), errors.ServerFault),
        (Reply(502, b"\xff\xfe bad gateway"), errors.Unavailable),
        (Reply(429), errors.TooManyRequests),
        (Reply(408), errors.TimedOut),
        (problem(503, "unavailable"), errors.Unavailable),
        (RESET, errors.Unreachable),
        (Reply(200, b'{"spaces": []}', cut_after=4), errors.Unreachable),
    ],
)
def test_a_lasting_failure_is_typed_after_the_last_attempt(
    make: type[Client], reply: Reply, kind: type[LorgnetteError]
) -> None:
    with serving({"GET /spaces": reply}) as loopback:
        with pytest.raises(kind) as caught:
            spaces_call(make, loopback.url, max_retries=1)
        assert type(caught.value) is kind
        assert len(loopback.received) == 2


def test_no_retries_means_one_attempt(make: type[Client]) -> None:
    with serving({"GET /spaces": Reply(503)}) as loopback:
        with pytest.raises(errors.Unavailable):
            spaces_call(make, loopback.url, max_retries=0)
        assert len(loopback.received) == 1


def test_retry_after_is_respected(make: type[Client], teacher: Bundle) -> None:
    routes = {
        "GET /spaces": in_turn(Reply(429, headers={"Retry-After": "1"}), ok(spaces_of(teacher)))
    }
    with serving(routes) as loopback:
        begun = time.monotonic()
        spaces_call(make, loopback.url)
        assert 1.0 <= time.monotonic() - begun < 5


def test_retry_after_is_read_as_seconds_or_date() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    in_a_minute = format_datetime(now + timedelta(seconds=60), usegmt=True)
    assert _retry.retry_after_s("7", now=now) == 7
    assert _retry.retry_after_s(in_a_minute, now=now) == 60
    assert _retry.retry_after_s(format_datetime(now - timedelta(days=1)), now=now) == 0
    for text in ("", "soon", "-1", "1.5", "٣", "99:99"):
        assert _retry.retry_after_s(text, now=now) is None


def test_an_absurd_retry_after_is_capped(
    make: type[Client], teacher: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_retry, "LONGEST_RETRY_AFTER_S", 0.01)
    patience = Reply(503, headers={"Retry-After": "86400"})
    with serving({"GET /spaces": in_turn(patience, ok(spaces_of(teacher)))}) as loopback:
        assert spaces_call(make, loopback.url)


def test_a_reindex_that_may_have_been_received_is_not_sent_again(make: type[Client]) -> None:
    for reply, kind in ((RESET, errors.Unreachable), (Reply(503), errors.Unavailable)):
        with serving({"POST /admin/reindex": reply}) as loopback:
            with make(loopback.url) as client, pytest.raises(kind):
                client.reindex()
            assert len(loopback.received) == 1


def test_a_running_reindex_is_a_conflict(make: type[Client]) -> None:
    with serving({"POST /admin/reindex": problem(409, "conflict")}) as loopback:
        with make(loopback.url) as client, pytest.raises(errors.Conflict, match="the detail"):
            client.reindex()
        assert len(loopback.received) == 1


def test_a_server_that_does_not_answer_times_out(make: type[Client]) -> None:
    release = threading.Event()

    def stuck(_: Received) -> Reply:
        release.wait(30)
        return Reply(200)

    with serving({"GET /spaces": stuck}) as loopback:
        with make(loopback.url, max_retries=1) as client:
            begun = time.monotonic()
            with pytest.raises(errors.TimedOut, match="timeout_s"):
                client.spaces(timeout_s=0.2)
            assert time.monotonic() - begun < 5
        release.set()
        assert len(loopback.received) == 2


def test_a_dripping_answer_times_out_as_a_whole(make: type[Client]) -> None:
    with Dripping() as url, make(url, max_retries=0) as client:
        begun = time.monotonic()
        with pytest.raises(errors.TimedOut):
            client.spaces(timeout_s=0.3)
        assert time.monotonic() - begun < 5


class Dripping:
    """A server whose body comes a byte every 20 ms, for ever."""

    def __enter__(self) -> str:
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._drip)
        self._thread.start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _drip(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not self._stop.wait(0.02):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()


def test_nobody_listening_is_unreachable(make: type[Client]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(errors.Unreachable, match=rf"127\.0\.0\.1:{port}/spaces.*running"):
        spaces_call(make, f"http://127.0.0.1:{port}", max_retries=0)


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"{}", b'{"spaces": 3}', b"\x00\xff" * 50, b'{"spaces": [{"space": "x"}]}'],
)
def test_garbage_is_a_server_fault(make: type[Client], body: bytes) -> None:
    with (
        serving({"GET /spaces": Reply(200, body)}) as loopback,
        pytest.raises(errors.ServerFault, match="lorgnette service"),
    ):
        spaces_call(make, loopback.url)


def test_content_that_is_not_the_gzip_it_says_is_a_server_fault(make: type[Client]) -> None:
    reply = Reply(200, b"not gzip", {"Content-Encoding": "gzip"})
    with serving({"GET /spaces": reply}) as loopback, pytest.raises(errors.ServerFault):
        spaces_call(make, loopback.url)


def test_an_endless_answer_is_cut(make: type[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorgnette._senders.MAX_ANSWER_BYTES", 1000)
    with (
        serving({"GET /spaces": Reply(200, b" " * 100_000)}) as loopback,
        pytest.raises(errors.ServerFault, match="longer than 1000"),
    ):
        spaces_call(make, loopback.url)


def test_an_answer_to_another_question_is_a_server_fault(
    make: type[Client], teacher: Bundle, encoder: Encoder, photos: list[Path]
) -> None:
    honest = search_route(teacher, photos)
    for lie in (b'"space":"other-0123456789ab"', b'"results":[[],[]],"was":0'):
        wrong = _altered(honest, lie)
        routes = {"GET /spaces": ok(spaces_of(teacher)), "POST /search": wrong}
        with (
            serving(routes) as loopback,
            make(loopback.url, encoder=encoder) as client,
            pytest.raises(errors.ServerFault, match="asked"),
        ):
            client.search(photos[0])


def _altered(honest: Callable[[Received], Reply], lie: bytes) -> Callable[[Received], Reply]:
    def route(request: Received) -> Reply:
        document = json.loads(honest(request).body)
        document.update(json.loads(b"{" + lie + b"}"))
        return Reply(200, json.dumps(document).encode())

    return route


def test_a_redirect_names_the_address_to_use(make: type[Client]) -> None:
    reply = Reply(301, headers={"Location": "https://photos.example/spaces"})
    with (
        serving({"GET /spaces": reply}) as loopback,
        pytest.raises(errors.InvalidConfiguration, match=r"https://photos\.example"),
    ):
        spaces_call(make, loopback.url)


def all_codes() -> list[str]:
    def tree(root: type[LorgnetteError]) -> list[type[LorgnetteError]]:
        return [root, *(leaf for child in root.__subclasses__() for leaf in tree(child))]

    return sorted(error.code for error in tree(LorgnetteError))


def test_every_code_comes_back_as_its_class(make: type[Client]) -> None:
    codes = all_codes()
    routes = {"GET /spaces": in_turn(*(problem(418, code) for code in codes))}
    with serving(routes) as loopback, make(loopback.url) as client:
        for code in codes:
            with pytest.raises(LorgnetteError, match=f"^the detail of {code}$") as caught:
                client.spaces()
            # `error` is the root's code; the status says more.
            known = errors.RefusedByServer if code == "error" else by_code(code)
            assert type(caught.value) is known


def test_a_code_newer_than_this_sdk_falls_back_to_the_status(make: type[Client]) -> None:
    with (
        serving({"GET /spaces": problem(404, "born-tomorrow")}) as loopback,
        pytest.raises(errors.NotFound, match="the detail of born-tomorrow"),
    ):
        spaces_call(make, loopback.url)


def test_a_fault_names_the_request_id(make: type[Client]) -> None:
    reply = Reply(500, headers={"X-Request-Id": "r-77"})
    with (
        serving({"GET /spaces": reply}) as loopback,
        pytest.raises(errors.ServerFault, match="request id r-77"),
    ):
        spaces_call(make, loopback.url, max_retries=0)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("127.0.0.1:8080", {}),
        ("ftp://127.0.0.1", {}),
        ("http://", {}),
        ("http://[::1", {}),
        ("http://127.0.0.1", {"timeout_s": 0}),
        ("http://127.0.0.1", {"timeout_s": float("nan")}),
        ("http://127.0.0.1", {"max_retries": -1}),
        ("http://127.0.0.1", {"key": ""}),
        ("http://127.0.0.1", {"key": "a\nb"}),
        ("http://127.0.0.1", {"key": "ключ"}),
    ],
)
def test_a_client_that_cannot_work_is_not_made(
    make: type[Client], url: str, options: dict[str, object]
) -> None:
    with pytest.raises(errors.InvalidConfiguration):
        make(url, **options)


def test_a_path_prefix_of_the_base_url_is_kept(make: type[Client], teacher: Bundle) -> None:
    with serving({"GET /photos/spaces": ok(spaces_of(teacher))}) as loopback:
        for suffix in ("/photos", "/photos/"):
            assert spaces_call(make, loopback.url + suffix)


def test_the_transport_is_injectable(teacher: Bundle) -> None:
    body = ok(spaces_of(teacher)).body
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    assert spaces_call(Client, "http://nowhere", transport=transport)
    assert spaces_call(AwaitedClient, "http://nowhere", transport=transport)  # type: ignore[arg-type]


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


def test_the_key_is_in_no_representation() -> None:
    client = Client("http://127.0.0.1", key="s3cret")
    assert "s3cret" not in repr(client) + repr(client._sender.connection)
    client.close()


def test_answers_have_a_size_a_phone_survives() -> None:
    assert _answers.MAX_ANSWER_BYTES <= 64 * 1024 * 1024
