"""`lorgnette serve --workers 2` as a process tree: killed, stopped, counted, weighed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from lorgnette import durable
from lorgnette.bundle import Bundle, sha256_of
from lorgnette.manifest import Space
from service.gallery import faiss_index
from service.gallery.catalogue import Catalogue
from service.gallery.generations import (
    CURRENT_NAME,
    INDEX_NAME,
    KEYS_NAME,
    MANIFEST_NAME,
    GenerationFile,
    GenerationManifest,
    directory_of,
)
from service.gauges import memory_of
from tests.service.serving import eventually, fill, png
from tests.service.test_metrics import Read
from tests.service.test_serve import refused, served
from tests.tiny_bundle import space_of, write_tiny_bundle
from tests.torture.figures import RecordFigure
from tests.torture.house import children_of, command_of

SEARCH = {"space": space_of(0).id, "vectors": [[1.0] * 16]}


@pytest.fixture(scope="module")
def options(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> tuple[str, ...]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    fill(data, teacher, {f"{seed}": png(seed) for seed in range(5)})
    return (
        "--data", str(data), "--student", str(student.directory), "--port", "0", "--workers", "2",
    )  # fmt: skip


@contextmanager
def asking(url: str, failures: list[str]) -> Iterator[list[int]]:
    """Clients that search all the time, each repeating a failed call once, on a new connection."""
    done = threading.Event()
    answered: list[int] = []

    def ask() -> None:
        while not done.is_set():
            for attempt in range(2):
                try:
                    with httpx.Client(base_url=url, timeout=20) as client:
                        for _ in range(5):
                            answered.append(client.post("/search", json=SEARCH).status_code)
                    break
                except httpx.TransportError as error:
                    if attempt:
                        failures.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.mark.torture_row("workers-kill")
def test_a_killed_worker_costs_one_retry_at_most_and_is_replaced(
    options: tuple[str, ...], record_figure: RecordFigure
) -> None:
    failures: list[str] = []
    with served(*options) as (process, url):
        before = set(children_of(process.pid))
        assert len(before) == 2
        with asking(url, failures) as answered:
            for victim in before:
                seen = len(answered)
                eventually(lambda seen=seen: len(answered) > seen + 50)  # type: ignore[misc]
                os.kill(victim, signal.SIGKILL)
                eventually(
                    lambda victim=victim: (  # type: ignore[misc]
                        len(now := set(children_of(process.pid))) == 2 and victim not in now
                    )
                )
                seen = len(answered)
                eventually(lambda seen=seen: len(answered) > seen + 50)  # type: ignore[misc]
        record_figure("workers killed", len(before))
        record_figure("answers", len(answered))
        record_figure("failed after one retry", len(failures))
        assert not failures
        assert set(answered) == {200}
        assert not before & set(children_of(process.pid))
        process.terminate()
        assert process.wait(timeout=40) == 0


def test_any_worker_counts_for_all_of_them_and_sees_what_is_written(
    options: tuple[str, ...], teacher: Bundle
) -> None:
    with served(*options) as (process, url):
        for _ in range(30):
            assert httpx.post(f"{url}/search", json=SEARCH).status_code == 200

        def counted() -> float:
            text = httpx.get(f"{url}/metrics").text
            return Read(text)("lorgnette_request_seconds_count", route="/search", status="200")

        eventually(lambda: {counted() for _ in range(4)} == {30.0})
        memory = Read(httpx.get(f"{url}/metrics").text)
        weighed = {
            int(s.labels["pid"]) for s in memory.samples if s.name == "lorgnette_memory_bytes"
        }
        assert set(children_of(process.pid)) <= weighed
        fill(Path(options[1]), teacher, {"new": png(77)})
        written = time.monotonic()
        eventually(
            lambda: {httpx.get(f"{url}/readyz").json()["count"] for _ in range(8)} == {6},
            within_s=10,
        )
        assert time.monotonic() - written < 3


def test_sigterm_refuses_new_connections_and_leaves_nobody_behind(
    options: tuple[str, ...],
) -> None:
    with served(*options) as (process, url):
        workers = children_of(process.pid)
        assert len(workers) == 2
        process.terminate()
        assert process.wait(timeout=40) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/healthz")
        assert not any(command_of(worker) for worker in workers)


def test_workers_end_when_what_started_them_is_killed(options: tuple[str, ...]) -> None:
    with served(*options) as (process, _url):
        workers = children_of(process.pid)
        assert len(workers) == 2
        process.kill()
        process.wait(timeout=40)
        eventually(lambda: not any("spawn_main" in command_of(worker) for worker in workers))


def test_a_worker_that_cannot_open_is_one_sentence(tmp_path: Path) -> None:
    said = refused(
        "--data", str(tmp_path), "--student", str(tmp_path / "none"), "--port", "0",
        "--workers", "2",
    )  # fmt: skip
    assert "not a bundle" in said


def test_while_draining_new_requests_are_told_to_come_back(options: tuple[str, ...]) -> None:
    one = options[:-2]
    with served(*one, LORGNETTE_DRAIN_S="2") as (process, url), httpx.Client(base_url=url) as kept:
        assert kept.get("/readyz").status_code == 200
        process.terminate()
        eventually(lambda: httpx.get(f"{url}/readyz").status_code == 503)
        for answer in (kept.post("/search", json=SEARCH), httpx.post(f"{url}/search", json=SEARCH)):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert process.wait(timeout=40) == 0


def test_a_second_signal_ends_the_drain(options: tuple[str, ...]) -> None:
    with served(*options[:-2], LORGNETTE_DRAIN_S="300") as (process, url):
        process.terminate()
        eventually(lambda: httpx.get(f"{url}/readyz").status_code == 503)
        process.terminate()
        assert process.wait(timeout=40) == 0


def publish_flat(data: Path, space: Space, *, count: int) -> int:
    """A generation of random rows without their catalogue. Returns the index's bytes."""
    catalogue = Catalogue.open(data)
    catalogue.upsert(space, [])
    with catalogue.writing() as connection:
        connection.execute(
            "INSERT INTO spaces (id, dim, created_at) VALUES (?, ?, 'now')", (space.id, space.dim)
        )
        connection.execute("UPDATE state SET seq = 1")
    catalogue.close()
    directory = directory_of(data, 1)
    directory.mkdir(parents=True)
    generator = np.random.default_rng(0)
    index = faiss_index.build(
        generator.standard_normal((1000, space.dim), dtype=np.float32), factory="Flat"
    )
    for _ in range(count // 1000 - 1):
        index._index.add(generator.standard_normal((1000, space.dim), dtype=np.float32))
    index.write(directory / INDEX_NAME)
    np.save(directory / KEYS_NAME, np.arange(count, dtype=np.int64))
    files = {
        name: GenerationFile(
            sha256=sha256_of(directory / name), bytes=(directory / name).stat().st_size
        )
        for name in (INDEX_NAME, KEYS_NAME)
    }
    manifest = GenerationManifest.model_validate({
        "schema_version": 1, "generation": 1, "space": space, "count": count, "seq": 1,
        "factory": "Flat", "recall_at_10": 1.0, "created_at": "now", "files": files,
    })  # fmt: skip
    (directory / MANIFEST_NAME).write_text(manifest.model_dump_json())
    durable.replace_file(data / CURRENT_NAME, json.dumps({space.id: 1}).encode())
    return files[INDEX_NAME].bytes


@pytest.mark.slow
@pytest.mark.torture_row("workers-memory")
def test_a_second_worker_costs_little_of_the_index(
    tmp_path: Path, record_figure: RecordFigure
) -> None:
    """A Flat index of 500,000 × 512 (1 GB), searched by both workers: private memory of each."""
    space = space_of(0, dim=512)
    write_tiny_bundle(tmp_path / "student", role="query", dim=512)
    size = publish_flat(tmp_path / "data", space, count=500_000)
    arguments = ("--data", str(tmp_path / "data"), "--student", str(tmp_path / "student"))
    with served(*arguments, "--port", "0", "--workers", "2") as (process, url):
        query = {"space": space.id, "vectors": [[1.0] * 512]}
        for _ in range(12):
            assert httpx.post(f"{url}/search", json=query, timeout=60).status_code == 200
        shares = {}
        for worker in set(children_of(process.pid)):
            memory = memory_of(worker)
            shares[worker] = memory["private"] / size
            assert memory["shared"] > 0.9 * size, "this worker has not mapped the index"
        record_figure("index, MB", size / 1e6)
        record_figure("private, % of it", 100 * max(shares.values()))
        assert len(shares) == 2
        assert max(shares.values()) <= 0.15


def test_what_starts_the_workers_loads_nothing_that_answers() -> None:
    code = "import service.workers, sys; print({'fastapi', 'faiss', 'uvicorn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "set()\n"
