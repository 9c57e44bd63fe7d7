"""What the two clients do when an answer does not come: try again, wait, give up."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from lorgnette import _retry, errors
from lorgnette.bundle import Bundle
from lorgnette.client import Client
from lorgnette.errors import LorgnetteError
from tests.sdk.clients import spaces_call
from tests.sdk.library import spaces_of
from tests.sdk.loopback import RESET, Received, Reply, in_turn, ok, problem, serving


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
