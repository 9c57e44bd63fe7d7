"""Sending a `Call` over httpx: the only file where the blocking and the async client differ."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypeVar

import httpx
from tenacity import AsyncRetrying, Retrying

from lorgnette._answers import MAX_ANSWER_BYTES, Answer, unreachable
from lorgnette._calls import Call, Steps
from lorgnette._retry import policy
from lorgnette.errors import InvalidConfiguration, ServerFault

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Connection:
    """Where the server is and how long to insist.

    timeout_s: seconds one attempt may take; a call makes at most `1 + max_retries` attempts.
    """

    base_url: str
    key: str | None = field(repr=False)
    timeout_s: float
    max_retries: int

    def __post_init__(self) -> None:
        check_timeout(self.timeout_s)
        if self.max_retries < 0:
            raise InvalidConfiguration(f"max_retries is {self.max_retries}: expected 0 or more")
        try:
            url = httpx.URL(self.base_url)
        except (httpx.InvalidURL, TypeError) as error:
            raise InvalidConfiguration(f"{self.base_url!r} is not a URL: {error}") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise InvalidConfiguration(
                f"{self.base_url!r} is not a server's address: expected http://… or https://…"
            )
        if self.key is not None and not (
            self.key.isascii() and self.key.isprintable() and self.key
        ):
            raise InvalidConfiguration("the key is empty or holds characters no header can carry")

    def headers(self) -> dict[str, str]:
        """What every request carries."""
        said = {"Accept": "application/json", "User-Agent": f"lorgnette/{version('lorgnette')}"}
        return said if self.key is None else {**said, "Authorization": f"Bearer {self.key}"}


class Sender:
    """Blocking. Thread-safe, as `httpx.Client` is."""

    def __init__(self, connection: Connection, transport: httpx.BaseTransport | None) -> None:
        self.connection = connection
        self.http = httpx.Client(
            base_url=connection.base_url, headers=connection.headers(), transport=transport
        )

    def run(self, steps: Steps[T], timeout_s: float | None) -> T:
        """Carry an operation through: send each call it yields, give it back the answer."""
        try:
            call = next(steps)
            while True:
                call = steps.send(self.send(call, timeout_s))
        except StopIteration as done:
            result: T = done.value
            return result

    def send(self, call: Call, timeout_s: float | None) -> Answer:
        """One call, with its retries. Raises `Unreachable` or `TimedOut` when no answer came."""
        limit_s = _limit_s(self.connection, timeout_s)
        rules = policy(max_retries=self.connection.max_retries, is_repeatable=call.is_repeatable)
        with no_answer(self.http, call):
            return Retrying(**rules)(self._attempt, call, limit_s)

    def _attempt(self, call: Call, limit_s: float) -> Answer:
        with self.http.stream(**call.arguments(), timeout=limit_s) as response:
            return read_answer(response, limit_s=limit_s)


def read_answer(response: httpx.Response, *, limit_s: float) -> Answer:
    """Read a response to its end, but no longer than `limit_s` and `MAX_ANSWER_BYTES`."""
    reading = _Reading(limit_s)
    for chunk in response.iter_bytes():
        reading.add(chunk)
    return reading.answer(response)


class AsyncSender:
    """For asyncio."""

    def __init__(self, connection: Connection, transport: httpx.AsyncBaseTransport | None) -> None:
        self.connection = connection
        self.http = httpx.AsyncClient(
            base_url=connection.base_url, headers=connection.headers(), transport=transport
        )

    async def run(self, steps: Steps[T], timeout_s: float | None) -> T:
        """Carry an operation through: send each call it yields, give it back the answer."""
        try:
            call = next(steps)
            while True:
                call = steps.send(await self.send(call, timeout_s))
        except StopIteration as done:
            result: T = done.value
            return result

    async def send(self, call: Call, timeout_s: float | None) -> Answer:
        """One call, with its retries. Raises `Unreachable` or `TimedOut` when no answer came."""
        limit_s = _limit_s(self.connection, timeout_s)
        rules = policy(max_retries=self.connection.max_retries, is_repeatable=call.is_repeatable)
        with no_answer(self.http, call):
            return await AsyncRetrying(**rules)(self._attempt, call, limit_s)

    async def _attempt(self, call: Call, limit_s: float) -> Answer:
        reading = _Reading(limit_s)
        async with self.http.stream(**call.arguments(), timeout=limit_s) as response:
            async for chunk in response.aiter_bytes():
                reading.add(chunk)
            return reading.answer(response)


@contextmanager
def no_answer(http: httpx.Client | httpx.AsyncClient, call: Call) -> Iterator[None]:
    """Turn httpx's exceptions into `Unreachable`, `TimedOut` or `ServerFault`, naming the URL."""
    try:
        yield
    except httpx.TransportError as error:
        raise unreachable(error, url=f"{http.base_url}".rstrip("/") + call.path) from error
    except httpx.DecodingError as error:
        raise ServerFault(f"{call.path} answered with undecodable content: {error}") from error


def check_timeout(timeout_s: float) -> None:
    """Raise `InvalidConfiguration` unless the timeout is a positive number of seconds."""
    if not timeout_s > 0:
        raise InvalidConfiguration(f"timeout_s is {timeout_s}: expected seconds above 0")


def _limit_s(connection: Connection, timeout_s: float | None) -> float:
    if timeout_s is None:
        return connection.timeout_s
    check_timeout(timeout_s)
    return timeout_s


class _Reading:
    """The body so far. httpx limits each read; this limits the whole, in time and in bytes."""

    def __init__(self, limit_s: float) -> None:
        self._deadline = time.monotonic() + limit_s
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > MAX_ANSWER_BYTES:
            raise ServerFault(f"an answer is longer than {MAX_ANSWER_BYTES} bytes: ask for less")
        if time.monotonic() > self._deadline:
            raise httpx.ReadTimeout("the answer came too slowly")

    def answer(self, response: httpx.Response) -> Answer:
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=bytes(self._body),
            url=str(response.url.copy_with(query=None)),
        )
