"""What SIGTERM does to those who listen: they are told, and hold nobody up."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from service.app import STREAMS_ADMITTED
from service.gallery.catalogue import Catalogue
from service.jobs import JOBS_NAME
from service.server import GRACE_S
from service.settings import Settings
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, eventually, fill, png, problem, serving
from tests.service.test_serve import ROOT, command, environment, served

JOB_ID = "a" * 32


@contextmanager
def running_job(data: Path) -> Iterator[None]:
    """A job that seems to run for as long as the block: its row, and its lock held."""
    (data / JOBS_NAME).mkdir(exist_ok=True)
    with (data / JOBS_NAME / f"{JOB_ID}.lock").open("ab") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        with closing(Catalogue.open(data)) as catalogue, catalogue.writing() as connection:
            connection.execute(
                "INSERT INTO jobs (id, kind, state, stage, done, total, created_at, heartbeat_at,"
                " request) VALUES (?, 'reindex', 'running', 'embed', 3, 10, '2026-01-01T00:00:00Z',"
                " '2026-01-01T00:00:00Z', '{}')",
                (JOB_ID,),
            )
        yield


@pytest.fixture
def data(tmp_path: Path, teacher: Bundle) -> Iterator[Path]:
    fill(tmp_path / "data", teacher, {"a": png(0)})
    with running_job(tmp_path / "data"):
        yield tmp_path / "data"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stream_is_told_and_ends_at_once(data: Path, student: Bundle, workers: str) -> None:
    keys = {"LORGNETTE_SEARCH_KEY": SEARCH_KEY, "LORGNETTE_ADMIN_KEY": ADMIN_KEY}
    options = ("--data", str(data), "--student", str(student.directory), "--port", "0")
    with served(*options, "--workers", workers, **keys) as (process, url):
        # As a page's `fetch` asks: EventSource could not send the key.
        headers = {"authorization": f"Bearer {ADMIN_KEY}", "accept": "text/event-stream"}
        events = f"{url}/admin/jobs/{JOB_ID}/events"
        assert httpx.get(events).status_code == 401
        with httpx.stream("GET", events, headers=headers, timeout=GRACE_S / 2) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.iter_lines()
            assert "event: job" in [next(lines) for _ in range(4)]
            process.terminate()
            assert [line for line in lines if line.startswith("event:")] == ["event: draining"]
        assert process.wait(timeout=GRACE_S / 2) == 0


def test_one_listener_too_many_is_told_to_come_back(data: Path, student: Bundle) -> None:
    events = f"/admin/jobs/{JOB_ID}/events"
    settings = Settings(data=data, students=(student.directory,))
    with serving(settings) as client, ExitStack() as listening:
        streams = [
            listening.enter_context(client.stream("GET", events)).iter_lines()
            for _ in range(STREAMS_ADMITTED)
        ]
        assert all("event: job" in lines for lines in streams)
        refused = client.get(events)
        problem(refused, 503, "unavailable")
        assert refused.headers["retry-after"]
        assert client.get(f"/admin/jobs/{JOB_ID}").json()["state"] == "running"


def test_workers_that_are_still_starting_stop_without_a_word(data: Path, student: Bundle) -> None:
    options = ("--data", str(data), "--student", str(student.directory), "--port", "0")
    process = subprocess.Popen(
        command(*options, "--workers", "2"),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        # The resource tracker's process, and that of the first worker.
        eventually(lambda: len(children.read_text().split()) == 2)
        process.terminate()
        told, log = process.communicate(timeout=GRACE_S)
    finally:
        process.kill()
    assert (process.returncode, told) == (0, "")
    assert "Traceback" not in log
