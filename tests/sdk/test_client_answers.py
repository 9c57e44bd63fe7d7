"""What the two clients make of answers: garbage, redirects, problems of every code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorgnette import _answers, errors
from lorgnette.bundle import Bundle
from lorgnette.client import Client
from lorgnette.encoder import Encoder
from lorgnette.error_codes import by_code
from lorgnette.errors import LorgnetteError
from tests.sdk.clients import spaces_call
from tests.sdk.library import search_route, spaces_of
from tests.sdk.loopback import Received, Reply, in_turn, ok, problem, serving


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


def test_answers_have_a_size_a_phone_survives() -> None:
    assert _answers.MAX_ANSWER_BYTES <= 64 * 1024 * 1024
