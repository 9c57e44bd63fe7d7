"""Fixtures of the SDK's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lorgnette import _retry
from lorgnette.bundle import Bundle
from lorgnette.client import Client
from lorgnette.encoder import Encoder
from tests.command_line import Run, command
from tests.sdk.clients import AwaitedClient, blocking_client
from tests.sdk.library import service, write_photos
from tests.sdk.loopback import Loopback


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait milliseconds here; the real figures are tested as values."""
    monkeypatch.setattr(_retry, "FIRST_WAIT_S", 0.002)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_photos(tmp_path_factory.mktemp("gallery"))


@pytest.fixture
def library(teacher: Bundle, student: Bundle, photos: list[Path]) -> Iterator[Loopback]:
    """A well-behaved service over four photographs."""
    with service(teacher, student, photos) as loopback:
        yield loopback


@pytest.fixture(params=[blocking_client, AwaitedClient], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> type[Client]:
    return request.param


@pytest.fixture(scope="module")
def encoder(student: Bundle) -> Encoder:
    return Encoder(student)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return command(monkeypatch, capfd)
