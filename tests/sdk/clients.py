"""Both clients behind one face, so that each test runs against either."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import httpx

from lorgnette.client import AsyncClient, Client

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


def spaces_call(make: type[Client], url: str, **options: object) -> object:
    with make(url, **options) as client:
        return client.spaces()
