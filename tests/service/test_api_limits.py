"""Bodies that are too long, and the headers every answer carries."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from lorgnette.bundle import Bundle
from service.settings import Settings
from tests.service.serving import fill, png, problem, serving

LIMIT = 2000
IMAGE_LIMIT = 20_000


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[httpx.Client]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    fill(data, teacher, {"a": png(0)})
    settings = Settings(
        data=data,
        students=(student.directory,),
        max_body_bytes=LIMIT,
        max_image_bytes=IMAGE_LIMIT,
        max_pixels=10_000,
    )
    with serving(settings) as client:
        yield client


def pieces(count: int) -> Iterator[bytes]:
    yield from (b" " * 100 for _ in range(count))


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/search", LIMIT), ("/admin/reindex", LIMIT), ("/search/image", IMAGE_LIMIT)],
)
def test_a_body_over_the_limit_is_refused_by_its_length_and_while_it_streams(
    client: httpx.Client, path: str, limit: int
) -> None:
    headers = {"content-type": "application/json"}
    too_long = client.post(path, content=b" " * (limit + 1), headers=headers)
    assert f"{limit:,}" in str(problem(too_long, 413, "body-too-large")["detail"])
    streamed = client.post(path, content=pieces(limit // 100 + 1), headers=headers)
    problem(streamed, 413, "body-too-large")
    just_right = client.post(path, content=b" " * limit, headers=headers)
    assert just_right.status_code == 422


def test_a_length_stated_as_enormous_is_refused_before_anything_is_read(
    client: httpx.Client,
) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
        raw.settimeout(10)
        raw.sendall(
            b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999999999\r\n\r\n"
        )
        assert raw.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_every_answer_carries_its_request_id_and_the_security_headers(
    client: httpx.Client,
) -> None:
    for path in ("/healthz", "/readyz", "/spaces", "/models", "/nothing", "/openapi.json"):
        headers = client.get(path).headers
        assert headers["x-request-id"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers or "uvicorn" in headers["server"]


def test_a_plain_request_id_is_kept_and_another_is_replaced(client: httpx.Client) -> None:
    kept = client.get("/healthz", headers={"x-request-id": "trace-1234567890"})
    assert kept.headers["x-request-id"] == "trace-1234567890"
    forged = client.get("/healthz", headers={"x-request-id": 'x" evil{}: injected'})
    assert "evil" not in forged.headers["x-request-id"]


def test_no_page_of_another_origin_gets_leave(client: httpx.Client) -> None:
    preflight = client.options(
        "/admin/reindex",
        headers={
            "origin": "https://evil.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )
    problem(preflight, 405, "invalid-request")
    assert "access-control-allow-origin" not in preflight.headers


def test_an_unknown_route_and_a_wrong_method_are_problems(client: httpx.Client) -> None:
    problem(client.get("/no/such/route"), 404, "not-found")
    wrong = client.get("/search")
    problem(wrong, 405, "invalid-request")
    assert "POST" in wrong.headers["allow"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/admin/items/a", {"GET", "PUT", "DELETE"}),
        ("/admin/snapshots", {"GET", "POST"}),
        ("/models/tiny-query/manifest.json", {"GET", "HEAD"}),
        ("/search", {"POST"}),
    ],
)
def test_a_wrong_method_is_told_every_right_one(
    client: httpx.Client, path: str, allowed: set[str]
) -> None:
    wrong = client.request("PATCH", path)
    detail = str(problem(wrong, 405, "invalid-request")["detail"])
    assert set(wrong.headers["allow"].split(", ")) == allowed
    assert all(method in detail for method in allowed)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_keyless_service_does_not_answer_to_another_host_name(
    client: httpx.Client, host: str
) -> None:
    response = client.get("/spaces", headers={"host": host})
    assert response.status_code in (400, 403)
    if host:
        problem(response, 403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:9", "[::1]"])
def test_a_keyless_service_answers_to_the_names_of_this_machine(
    client: httpx.Client, host: str
) -> None:
    assert client.get("/spaces", headers={"host": host}).status_code == 200
