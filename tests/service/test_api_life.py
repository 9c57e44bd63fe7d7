"""Loading, draining, failing and overload; the OpenAPI document; what the log says."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidBundle, InvalidConfiguration, InvalidGallery, Unavailable
from service.app import create_app
from service.gallery.catalogue import CATALOGUE_NAME
from service.lane import Lane
from service.settings import Settings
from service.telemetry import JsonFormatter
from tests.service.serving import eventually, fill, png, problem, serving
from tests.tiny_bundle import space_of, write_tiny_bundle

SEARCH = {"space": space_of(0).id, "vectors": [[0.987654321] * 16]}


@pytest.fixture
def settings(tmp_path: Path, teacher: Bundle, student: Bundle) -> Settings:
    fill(tmp_path / "data", teacher, {f"photo-{seed}": png(seed) for seed in range(4)})
    return Settings(data=tmp_path / "data", students=(student.directory,))


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lines
    root.setLevel(level)
    root.removeHandler(handler)


def get(app: FastAPI, path: str) -> httpx.Response:
    """One request without a server, as the loop would serve it."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_it_is_alive_but_not_ready_while_it_loads_and_after_it_was_told_to_stop(
    settings: Settings,
) -> None:
    app = create_app(settings)
    assert get(app, "/healthz").status_code == 200
    loading = get(app, "/readyz")
    assert "loading" in str(problem(loading, 503, "unavailable")["detail"])
    assert loading.headers["retry-after"] == "1"

    async def live_and_die() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(live_and_die())
    assert "shutting down" in str(problem(get(app, "/readyz"), 503, "unavailable")["detail"])
    assert get(app, "/healthz").status_code == 200


def test_an_empty_gallery_is_not_ready_and_says_what_to_run(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    settings = Settings(data=tmp_path / "data", students=(student.directory,))
    with serving(settings) as client:
        for response in (
            client.get("/readyz"),
            client.post("/search", json=SEARCH),
            client.post("/search/image", content=png(0)),
        ):
            assert "index" in str(problem(response, 503, "unavailable")["detail"])
        assert client.get("/spaces").json() == {"spaces": []}
        fill(tmp_path / "data", teacher, {"a": png(0)})
        eventually(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json()["count"] == 1
        ((hit,),) = client.post("/search", json=SEARCH).json()["results"]
        assert hit["id"] == "a"


def test_without_students_vectors_are_searched_and_photographs_declined(
    settings: Settings,
) -> None:
    with serving(settings.model_copy(update={"students": ()})) as client:
        assert client.post("/search", json=SEARCH).status_code == 200
        problem(client.post("/search/image", content=png(0)), 404, "not-found")
        other = client.post("/search", json=SEARCH | {"space": space_of(1).id})
        assert "students" not in problem(other, 409, "space-mismatch")


def test_a_broken_student_stops_the_start_with_its_own_error(
    settings: Settings, tmp_path: Path
) -> None:
    write_tiny_bundle(tmp_path / "broken", role="query")
    model = tmp_path / "broken" / "model.onnx"
    flipped = bytearray(model.read_bytes())
    flipped[100] ^= 1
    model.write_bytes(flipped)
    twice = (settings.students[0], settings.students[0])
    for students, error in (
        ((tmp_path / "broken",), InvalidBundle),
        ((tmp_path / "absent",), InvalidBundle),
        (twice, InvalidConfiguration),
    ):
        app = create_app(settings.model_copy(update={"students": students}))

        async def start(app: FastAPI = app) -> None:
            async with app.router.lifespan_context(app):
                pass

        with pytest.raises(error):
            asyncio.run(start())


def test_a_damaged_catalogue_stops_the_start_with_its_own_error(settings: Settings) -> None:
    (settings.data / CATALOGUE_NAME).write_bytes(b"not a database" * 1000)
    app = create_app(settings)

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(InvalidGallery, match=CATALOGUE_NAME):
        asyncio.run(start())


def test_a_failure_shows_the_client_an_id_and_the_log_the_cause(
    settings: Settings, log_lines: io.StringIO
) -> None:
    with serving(settings) as client:
        with sqlite3.connect(settings.data / CATALOGUE_NAME) as connection:
            connection.execute("DROP TABLE items")
        connection.close()
        response = client.post("/search", json=SEARCH)
        problem(response, 500, "server-fault")
        assert str(settings.data) not in response.text
        assert "items" not in response.text
        failed = [line for line in log_lines.getvalue().splitlines() if '"failed"' in line]
        assert response.headers["x-request-id"] in failed[-1]
        assert "no such table" in failed[-1]


def test_an_unforeseen_error_is_a_plain_500_problem(
    settings: Settings, log_lines: io.StringIO
) -> None:
    app = create_app(settings)

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("secret of the house")

    response = get(app, "/boom")
    problem(response, 500, "server-fault")
    assert "secret" not in response.text
    assert "secret of the house" in log_lines.getvalue()


def test_every_request_is_one_line_of_json_without_its_vector(
    settings: Settings, log_lines: io.StringIO
) -> None:
    with serving(settings) as client:
        response = client.post("/search", json=SEARCH, headers={"x-request-id": "trace-me-please"})
        assert response.status_code == 200
        eventually(lambda: "trace-me-please" in log_lines.getvalue())
    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "trace-me-please"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/search", 200)
    assert line["took_ms"] > 0
    assert "0.98765" not in log_lines.getvalue()


def test_a_caller_who_hangs_up_in_the_middle_is_no_failure_of_ours(
    settings: Settings, log_lines: io.StringIO
) -> None:
    with serving(settings) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
            raw.sendall(
                b"POST /search HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: hung-up-12345\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
        eventually(lambda: "hung-up-12345" in log_lines.getvalue())
        assert '"failed"' not in log_lines.getvalue()
        assert client.post("/search", json=SEARCH).status_code == 200


def test_a_full_lane_refuses_at_once_and_is_free_again_afterwards() -> None:
    async def use() -> None:
        lane = Lane(threads=1, admitted=1)
        with lane.admit():
            with pytest.raises(Unavailable), lane.admit():
                pass
            assert await lane.run(lambda: 42) == 42
        with lane.admit():
            pass

    asyncio.run(use())


def test_many_searches_at_once_are_all_answered(settings: Settings) -> None:
    with serving(settings) as client:
        url = str(client.base_url)

        async def storm() -> list[int]:
            async with httpx.AsyncClient(base_url=url, timeout=30) as many:
                calls = [many.post("/search", json=SEARCH) for _ in range(100)]
                calls += [many.post("/search/image", content=png(1)) for _ in range(20)]
                return [answer.status_code for answer in await asyncio.gather(*calls)]

        assert set(asyncio.run(storm())) == {200}


def test_the_openapi_document_states_every_problem_and_every_body(settings: Settings) -> None:
    document = get(create_app(settings), "/openapi.json").json()
    known = document["components"]["schemas"]
    assert {"SearchRequest", "PackedVectors", "ReindexRequest", "Problem", "Job"} <= set(known)
    assert "HTTPValidationError" not in known
    text = json.dumps(document)
    for reference in set(text.split('"#/components/schemas/')[1:]):
        assert reference.partition('"')[0] in known
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert set(response["content"]) == {"application/problem+json"}, (path, status)
            assert {"500", "503", "422"} <= set(operation["responses"])
            if not path.endswith("z"):
                assert "401" in operation["responses"]
                assert operation["security"]
    for path in ("/search", "/search/image", "/admin/reindex"):
        assert document["paths"][path]["post"]["requestBody"]["required"]
