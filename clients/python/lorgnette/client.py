"""The client: a photograph in, ranked hits out; only the vector travels.

    with Client("http://127.0.0.1:8080", encoder=Encoder(Bundle.open("models/student"))) as client:
        hits = client.search("photo.jpg", k=5)

`AsyncClient` is the same for asyncio. Every failure is an error of `lorgnette.errors`. Connection
errors, timeouts and the statuses 408, 429, 500, 502, 503 and 504 are tried again `max_retries`
times, after an exponential pause with jitter or the server's own `Retry-After`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self, Unpack

import httpx
import numpy as np
from numpy.typing import NDArray

from lorgnette._calls import Conversation, require_encoder
from lorgnette._options import SearchOptions
from lorgnette._photo import photo_bytes
from lorgnette._senders import DEFAULT_TIMEOUT_S, Connection, Sender
from lorgnette.async_client import AsyncClient
from lorgnette.encoder import Encoder
from lorgnette.errors import SpaceMismatch
from lorgnette.image import ImageSource
from lorgnette.manifest import Space
from lorgnette.models.renewal import newer
from lorgnette.models.store import ModelStore
from lorgnette.wire import DEFAULT_K, Hit, Job, SearchResponse, SpaceInfo, StudentInfo

__all__ = ["AsyncClient", "Client"]


class Client:
    """Blocking client. Thread-safe; keep one for the life of the application.

    encoder: needed by `search` only. store: where another student is fetched from, once, when the
    server no longer speaks the encoder's space. key: sent as `Authorization: Bearer`. timeout_s:
    seconds one attempt may take, for every method also as an argument of its own. transport: any
    httpx one.
    Raises `InvalidConfiguration` for arguments that cannot work.
    """

    def __init__(
        self,
        base_url: str,
        *,
        encoder: Encoder | None = None,
        store: ModelStore | None = None,
        key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.encoder = encoder
        self._store = store
        self._sender = Sender(Connection(base_url, key, timeout_s, max_retries), transport)
        self._conversation = Conversation()

    def search(
        self,
        image: ImageSource,
        k: int = DEFAULT_K,
        *,
        timeout_s: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit]:
        """Embed a photograph here and ask who is near: at most k hits, best first.

        options: offset, score_threshold, filter, group_by, group_size, fields, rerank; see
        `SearchOptions`.

        Raises `InvalidImage` for the photograph, and `SpaceMismatch`, naming the students that
        fit, before anything is embedded when the server does not speak the encoder's space and
        the store, if any, has none that it speaks either.
        """
        encoder = require_encoder(self.encoder)
        try:
            return self._search(encoder, image, k, timeout_s, options)
        except SpaceMismatch as error:
            self.encoder = newer(self._store, encoder, error)
        return self._search(self.encoder, image, k, timeout_s, options)

    def _search(
        self,
        encoder: Encoder,
        image: ImageSource,
        k: int,
        timeout_s: float | None,
        options: SearchOptions,
    ) -> list[Hit]:
        self._sender.run(self._conversation.ensure_live(encoder.space), timeout_s)
        row = encoder.encode(image)
        steps = self._conversation.search(
            row[None], space=encoder.space, student=encoder.identity, k=k, **options
        )
        return self._sender.run(steps, timeout_s).results[0]

    def search_vectors(
        self,
        rows: NDArray[np.floating],
        *,
        space: Space,
        student: str | None = None,
        k: int = DEFAULT_K,
        timeout_s: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResponse:
        """Ask about vectors `[N, D]` of a space embedded elsewhere; `results[i]` is row i's.

        student: who embedded them, `Encoder.identity`; the server aligns them if it can.
        """
        steps = self._conversation.search(rows, space=space, student=student, k=k, **options)
        return self._sender.run(steps, timeout_s)

    def search_image(
        self,
        photo: Path | str | bytes,
        k: int = DEFAULT_K,
        *,
        space: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit]:
        """Send the photograph itself (a path or encoded bytes); the server's student embeds it."""
        steps = self._conversation.search_image(photo_bytes(photo), space=space, k=k, **options)
        return self._sender.run(steps, timeout_s)

    def spaces(self, *, timeout_s: float | None = None) -> list[SpaceInfo]:
        """The live spaces, with their counts and the students that fit."""
        return self._sender.run(self._conversation.spaces(), timeout_s)

    def models(self, *, timeout_s: float | None = None) -> list[StudentInfo]:
        """The student bundles the server hands out; `lorgnette.pull_bundle` fetches one."""
        return self._sender.run(self._conversation.models(), timeout_s)

    def job(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """The state of a job (needs an admin key). Raises `NotFound`."""
        return self._sender.run(self._conversation.job(job_id), timeout_s)

    def reindex(self, *, factory: str | None = None, timeout_s: float | None = None) -> Job:
        """Start a reindex (needs an admin key). Raises `Conflict` when one runs already.

        factory: a FAISS factory string; None keeps the server's. After `TimedOut` or `Unreachable`
        the reindex may have started: it is not asked for twice.
        """
        return self._sender.run(self._conversation.reindex(factory), timeout_s)

    def close(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        self._sender.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
