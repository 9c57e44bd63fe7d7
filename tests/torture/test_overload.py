"""Four times what the service can answer: the excess is told so at once, the rest is served."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from lorgnette.bundle import Bundle
from service.app import _PHOTOGRAPHS_ADMITTED as PLACES
from tests.service.gallery_rows import SPACE, unit_rows
from tests.service.serving import ADMIN_KEY, SEARCH_KEY
from tests.torture.figures import RecordFigure
from tests.torture.house import House, served
from tests.torture.writers import under_load

SECONDS = 15.0
TIMES = 4
RATE_PER_S = 40
BODY = {"space": SPACE.id, "vectors": unit_rows(4, seed=1).tolist(), "k": 20}


def big_picture() -> bytes:
    """A photograph whose decoding takes longer than asking for it."""
    rough = np.random.default_rng(5).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(rough).resize((2400, 1600), Image.Resampling.BICUBIC).save(file, format="JPEG")
    return file.getvalue()


@dataclass
class Asker:
    """One client. pause_s: between its requests, answered or refused."""

    pause_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    admitted_s: list[float] = field(default_factory=list)
    unexplained: list[httpx.Response] = field(default_factory=list)

    def run(self, url: str, stop: threading.Event) -> None:
        key = {"authorization": f"Bearer {SEARCH_KEY}"}
        with httpx.Client(base_url=url, timeout=60, headers=key) as client:
            while not stop.wait(self.pause_s):
                began = time.monotonic()
                self._note(self.ask(client), took_s=time.monotonic() - began)

    def ask(self, client: httpx.Client) -> httpx.Response:
        return client.post("/search", json=BODY)

    def _note(self, answer: httpx.Response, *, took_s: float) -> None:
        self.statuses[answer.status_code] += 1
        if answer.status_code == 200:
            self.admitted_s.append(took_s)
        elif int(answer.headers.get("retry-after", 0)) < 1:
            self.unexplained.append(answer)


@dataclass
class Photographer(Asker):
    """Sends a big photograph, and waits after a refusal as long as it was told to."""

    picture: bytes = b""

    def ask(self, client: httpx.Client) -> httpx.Response:
        answer = client.post(
            "/search/image", content=self.picture, headers={"content-type": "image/jpeg"}
        )
        self.pause_s = float(answer.headers.get("retry-after", 0))
        return answer


@dataclass(frozen=True)
class Load:
    """How a crowd was answered."""

    statuses: Counter[int]
    unexplained: int
    p99_s: float


def asked_by(url: str, askers: Sequence[Asker]) -> Load:
    with under_load(url, askers):
        time.sleep(SECONDS)
    return Load(
        statuses=sum((asker.statuses for asker in askers), Counter[int]()),
        unexplained=sum(len(asker.unexplained) for asker in askers),
        p99_s=float(np.quantile([s for asker in askers for s in asker.admitted_s], 0.99)),
    )


def check(
    capacity: Load, over: Load, refusal: int, *, name: str, record_figure: RecordFigure
) -> None:
    record_figure(f"{name}: p99 at capacity, ms", 1000 * capacity.p99_s)
    record_figure(f"{name}: p99 at {TIMES}x, ms", 1000 * over.p99_s)
    record_figure(f"{name}: ratio", over.p99_s / capacity.p99_s)
    record_figure(f"{name}: answered", over.statuses[200])
    record_figure(f"{name}: told {refusal}", over.statuses[refusal])
    record_figure(f"{name}: without Retry-After", over.unexplained)
    assert set(capacity.statuses) == {200}
    assert set(over.statuses) == {200, refusal}
    assert over.unexplained == 0
    assert over.p99_s <= 2 * capacity.p99_s


@pytest.mark.torture
@pytest.mark.torture_row("overload")
def test_more_photographs_than_places_are_refused_and_the_others_wait_no_longer(
    tmp_path: Path, teacher: Bundle, student: Bundle, record_figure: RecordFigure
) -> None:
    house = House.built(tmp_path, teacher, student, photographs=20)
    picture = big_picture()

    def crowd(count: int) -> list[Photographer]:
        return [Photographer(picture=picture) for _ in range(count)]

    with served(house) as service:
        asked_by(service.url, crowd(1))
        capacity = asked_by(service.url, crowd(PLACES))
        over = asked_by(service.url, crowd(TIMES * PLACES))
    check(capacity, over, 503, name="places", record_figure=record_figure)


@pytest.mark.torture
@pytest.mark.torture_row("overload")
def test_a_key_that_asks_too_often_is_told_and_its_allowed_requests_wait_no_longer(
    tmp_path: Path, teacher: Bundle, student: Bundle, record_figure: RecordFigure
) -> None:
    house = House.built(tmp_path, teacher, student, photographs=20)
    limits = {
        "LORGNETTE_SEARCH_KEY": SEARCH_KEY,
        "LORGNETTE_ADMIN_KEY": ADMIN_KEY,
        "LORGNETTE_RATE_PER_S": str(RATE_PER_S),
        "LORGNETTE_RATE_BURST": str(RATE_PER_S),
    }
    with served(house, **limits) as service:
        pause_s = 8 / RATE_PER_S
        capacity = asked_by(service.url, [Asker(pause_s) for _ in range(8)])
        crowd = [Asker(pause_s) for _ in range(TIMES * 8)]
        over = asked_by(service.url, crowd)
    check(capacity, over, 429, name="rate", record_figure=record_figure)
