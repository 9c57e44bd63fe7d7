"""A real service in a thread: tiny bundles, a real catalogue, uvicorn on a port of its own."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import uvicorn
from PIL import Image

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from service.app import create_app
from service.gallery.catalogue import Catalogue
from service.gallery.records import NewItem, Stamp
from service.listening import bind, url_of
from service.settings import Settings

SEARCH_KEY = "search-key-of-the-tests"
ADMIN_KEY = "admin-key-of-the-tests"


def png(seed: int) -> bytes:
    """A smooth random picture, encoded."""
    rough = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(rough).resize((60, 40), Image.Resampling.BICUBIC).save(file, format="PNG")
    return file.getvalue()


def fill(data: Path, teacher: Bundle, pictures: Mapping[str, bytes]) -> None:
    """Index pictures by id, as the indexer would."""
    encoder = Encoder(teacher)
    catalogue = Catalogue.open(data)
    catalogue.upsert(
        teacher.space,
        [
            NewItem(
                id=name,
                source="",
                stamp=Stamp(size=len(content), mtime_ns=1),
                metadata={"file": name},
                vector=encoder.encode(content),
            )
            for name, content in pictures.items()
        ],
    )
    catalogue.close()


@contextmanager
def serving(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a running service; leaving stops it gracefully."""
    bound = bind(settings.host, 0)
    config = uvicorn.Config(create_app(settings), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive())
        assert thread.is_alive(), "the service did not start"
        with httpx.Client(base_url=url_of(bound), timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        bound.close()


def eventually(is_true: Callable[[], bool], *, within_s: float = 20) -> None:
    """Poll until the condition holds; fail the test when it does not in time."""
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    """Assert a response is this problem, whole and without leaks; return its fields."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    fields: dict[str, object] = response.json()
    assert fields["type"] == f"urn:lorgnette:problem:{code}", fields
    assert fields["status"] == status
    assert fields["detail"]
    assert response.headers["x-request-id"] in str(fields["instance"])
    assert "Traceback" not in response.text
    return fields
