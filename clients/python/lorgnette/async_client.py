"""`Client` for asyncio; import it from `lorgnette`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self, Unpack

import httpx
import numpy as np
from numpy.typing import NDArray

from lorgnette._calls import Conversation, require_encoder
from lorgnette._options import SearchOptions
from lorgnette._photo import photo_bytes
from lorgnette._senders import DEFAULT_TIMEOUT_S, AsyncSender, Connection
from lorgnette.encoder import Encoder
from lorgnette.errors import SpaceMismatch
from lorgnette.image import ImageSource
from lorgnette.manifest import Space
from lorgnette.models.renewal import newer
from lorgnette.models.store import ModelStore
from lorgnette.wire import DEFAULT_K, Hit, Job, SearchResponse, SpaceInfo, StudentInfo


class AsyncClient:
    """`Client` for asyncio: the same methods, awaited. Embedding runs in a worker thread."""

    def __init__(
        self,
        base_url: str,
        *,
        encoder: Encoder | None = None,
        store: ModelStore | None = None,
        key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_retries: int = 2,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.encoder = encoder
        self._store = store
        self._sender = AsyncSender(Connection(base_url, key, timeout_s, max_retries), transport)
        self._conversation = Conversation()

    async def search(
        self,
        image: ImageSource,
        k: int = DEFAULT_K,
        *,
        timeout_s: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit]:
        """See `Client.search`."""
        encoder = require_encoder(self.encoder)
        try:
            return await self._search(encoder, image, k, timeout_s, options)
        except SpaceMismatch as error:
            self.encoder = await asyncio.to_thread(newer, self._store, encoder, error)
        return await self._search(self.encoder, image, k, timeout_s, options)

    async def _search(
        self,
        encoder: Encoder,
        image: ImageSource,
        k: int,
        timeout_s: float | None,
        options: SearchOptions,
    ) -> list[Hit]:
        await self._sender.run(self._conversation.ensure_live(encoder.space), timeout_s)
        row = await asyncio.to_thread(encoder.encode, image)
        steps = self._conversation.search(
            row[None], space=encoder.space, student=encoder.identity, k=k, **options
        )
        return (await self._sender.run(steps, timeout_s)).results[0]

    async def search_vectors(
        self,
        rows: NDArray[np.floating],
        *,
        space: Space,
        student: str | None = None,
        k: int = DEFAULT_K,
        timeout_s: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResponse:
        """See `Client.search_vectors`."""
        steps = self._conversation.search(rows, space=space, student=student, k=k, **options)
        return await self._sender.run(steps, timeout_s)

    async def search_image(
        self,
        photo: Path | str | bytes,
        k: int = DEFAULT_K,
        *,
        space: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit]:
        """See `Client.search_image`."""
        content = await asyncio.to_thread(photo_bytes, photo)
        steps = self._conversation.search_image(content, space=space, k=k, **options)
        return await self._sender.run(steps, timeout_s)

    async def spaces(self, *, timeout_s: float | None = None) -> list[SpaceInfo]:
        """See `Client.spaces`."""
        return await self._sender.run(self._conversation.spaces(), timeout_s)

    async def models(self, *, timeout_s: float | None = None) -> list[StudentInfo]:
        """See `Client.models`."""
        return await self._sender.run(self._conversation.models(), timeout_s)

    async def job(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """See `Client.job`."""
        return await self._sender.run(self._conversation.job(job_id), timeout_s)

    async def reindex(self, *, factory: str | None = None, timeout_s: float | None = None) -> Job:
        """See `Client.reindex`."""
        return await self._sender.run(self._conversation.reindex(factory), timeout_s)

    async def aclose(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        await self._sender.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
