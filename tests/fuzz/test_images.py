"""Image bombs against a running service: refused at once, at next to no memory."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from tests.fuzz import bombs
from tests.service.serving import fill, png, problem
from tests.service.test_serve import served
from tests.torture.figures import RecordFigure

ROUTES = (("POST", "/search/image"), ("PUT", "/admin/items/bomb"))
LONGEST_S = 1.0
MOST_GROWN = 200 * bombs.MIB


@dataclass(frozen=True)
class House:
    """A running service, what it has in memory before it is abused, and how to ask it."""

    client: httpx.Client
    pid: int
    at_first: int

    def ask(self, method: str, path: str, body: bytes) -> httpx.Response:
        headers = {"content-type": "image/png"}
        return self.client.request(method, path, content=body, headers=headers)

    def grown(self) -> int:
        return peak_of(self.pid) - self.at_first

    def status_within(self, method: str, path: str, body: bytes) -> tuple[int, float]:
        """The status, and the seconds until it came: maybe before the body was sent."""
        url, started = self.client.base_url, time.perf_counter()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        left = memoryview(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        with socket.create_connection((url.host, url.port or 0), timeout=30) as connection:
            while not select.select([connection], [], [], 0 if left else 30)[0]:
                left = left[connection.send(left[: bombs.MIB]) :]
            status = connection.recv(64).split()[1]
        return int(status), time.perf_counter() - started


def peak_of(pid: int) -> int:
    """The most bytes a process ever had in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[House]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    fill(data, teacher, {"a": png(0)})
    folders = ("--data", str(data), "--teacher", str(teacher.directory))
    options = (*folders, "--student", str(student.directory), "--port", "0")
    with served(*options) as (process, url), httpx.Client(base_url=url, timeout=30) as client:
        # Both have encoded once, so what they need themselves is not counted.
        for method, path in ROUTES:
            client.request(method, path, content=png(1), headers={"content-type": "image/png"})
        yield House(client, process.pid, peak_of(process.pid))


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("name", bombs.REFUSED)
def test_a_bomb_is_refused_and_costs_no_memory(
    house: House, name: str, method: str, path: str
) -> None:
    answered = house.ask(method, path, bombs.REFUSED[name]())
    kind = answered.json()["type"].rpartition(":")[2]
    assert kind in ("invalid-image", "image-too-large", "body-too-large")
    problem(answered, 422 if kind == "invalid-image" else 413, kind)
    assert house.grown() < MOST_GROWN


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("name", bombs.TAKEN)
def test_what_is_odd_about_a_photograph_does_not_hurt(
    house: House, name: str, method: str, path: str
) -> None:
    answered = house.ask(method, path, bombs.TAKEN[name]())
    assert answered.status_code == 200, answered.text
    assert house.grown() < MOST_GROWN


def test_after_all_that_it_still_finds_the_photograph(house: House) -> None:
    answered = house.ask("POST", "/search/image", png(0))
    assert answered.json()["results"][0][0]["id"] == "a"


@pytest.mark.torture
@pytest.mark.torture_row("images")
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_bomb_is_refused_at_once(
    house: House, method: str, path: str, record_figure: RecordFigure
) -> None:
    slowest, others = 0.0, []
    for name, make in bombs.REFUSED.items():
        status, took_s = house.status_within(method, path, make())
        slowest = max(slowest, took_s)
        others += [name] if not 400 <= status < 500 else []
    for name, make in bombs.TAKEN.items():
        assert house.status_within(method, path, make())[0] == 200, name
    record_figure("bombs", len(bombs.REFUSED), fold=sum)
    record_figure("not 4xx", len(others), fold=sum)
    record_figure("slowest, s", round(slowest, 3))
    record_figure("memory, + MiB", round(house.grown() / bombs.MIB, 1))
    assert not others
    assert slowest < LONGEST_S
    assert house.grown() < MOST_GROWN
