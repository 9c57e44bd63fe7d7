"""What a client is made of: an address, a key, a transport."""

from __future__ import annotations

import httpx
import pytest

from lorgnette import errors
from lorgnette.bundle import Bundle
from lorgnette.client import Client
from tests.sdk.clients import AwaitedClient, spaces_call
from tests.sdk.library import spaces_of
from tests.sdk.loopback import ok, serving


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


def test_the_key_is_in_no_representation() -> None:
    client = Client("http://127.0.0.1", key="s3cret")
    assert "s3cret" not in repr(client) + repr(client._sender.connection)
    client.close()
