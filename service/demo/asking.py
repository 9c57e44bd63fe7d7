"""Asking the service, as a phone would: the student embeds here, only the vector travels."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx
import numpy as np

from lorgnette import Client, Encoder
from lorgnette.wire import Hit
from service.demo.queries import Query

HITS = 5


@dataclass(frozen=True)
class Reply:
    """What a query found and where the time went.

    sent_bytes: the search request's body. encode_ms: decoding the photo and embedding it.
    search_ms: the round trip. server_ms: the part of it the service says it worked.
    """

    query: Query
    hits: tuple[Hit, ...]
    sent_bytes: int
    encode_ms: float
    search_ms: float
    server_ms: float

    @property
    def is_found(self) -> bool:
        """Whether the nearest picture is the query's photograph."""
        return bool(self.hits) and self.query.is_match(self.hits[0].id)


class Meter(httpx.BaseTransport):
    """An HTTP transport that remembers how long the last request's body was, in bytes."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self._wire = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request on."""
        self.sent_bytes = len(request.content)
        return self._wire.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()


class Asker:
    """A client and its encoder, warm: golden check, handshake and first search are not timed."""

    def __init__(self, url: str, encoder: Encoder) -> None:
        self._meter = Meter()
        self._encoder = encoder
        self._client = Client(url, transport=self._meter)
        encoder.check()
        self._client.search_vectors(
            np.ones((1, encoder.space.dim), np.float32), space=encoder.space, k=1
        )

    def ask(self, query: Query) -> Reply:
        """Embed the query's photograph here and ask for its nearest pictures."""
        begun = time.perf_counter()
        row = self._encoder.encode(query.path)
        embedded = time.perf_counter()
        answer = self._client.search_vectors(row[None], space=self._encoder.space, k=HITS)
        answered = time.perf_counter()
        return Reply(
            query=query,
            hits=tuple(answer.results[0]),
            sent_bytes=self._meter.sent_bytes,
            encode_ms=(embedded - begun) * 1000,
            search_ms=(answered - embedded) * 1000,
            server_ms=answer.took_ms,
        )

    def close(self) -> None:
        """Close the client."""
        self._client.close()
