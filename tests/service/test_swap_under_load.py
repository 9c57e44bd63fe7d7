"""Reindexes while clients search and write: no failed request, no answer of two generations."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from service.gallery.build import Options, index_folder
from service.settings import Settings
from tests.service.gallery_rows import SPACE, unit_rows
from tests.service.serving import eventually, png, serving
from tests.torture.figures import RecordFigure

QUERIES = unit_rows(4, seed=3).tolist()
CLIENTS = 4


@dataclass
class Searcher:
    """One client. Everything it is told must be the same, whichever generation says it."""

    url: str
    expected: object
    stop: threading.Event
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[object] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def run(self) -> None:
        body = {"space": SPACE.id, "vectors": QUERIES, "k": 20}
        with httpx.Client(base_url=self.url, timeout=20) as client:
            while not self.stop.is_set():
                answer = client.post("/search", json=body)
                self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    told = answer.json()
                    self.seen.append(told["generation"])
                    if told["results"] != self.expected:
                        self.wrong.append(told)


def swapped_under_load(
    tmp_path: Path, teacher: Bundle, student: Bundle, *, times: int, lasting_s: float = 0.0
) -> list[Searcher]:
    """lasting_s: the swaps are spread evenly over at least so long. Returns what clients saw."""
    bundle = tmp_path / "models" / "teacher"
    shutil.copytree(teacher.directory, bundle)
    (tmp_path / "photos").mkdir()
    for seed in range(30):
        (tmp_path / "photos" / f"{seed}.png").write_bytes(png(seed))
    data = tmp_path / "data"
    index_folder(tmp_path / "photos", data, bundle, options=Options(threads=1))
    settings = Settings(
        data=data, teacher=bundle, students=(student.directory,), rate_per_s=100_000,
        rate_burst=100_000,
    )  # fmt: skip
    started, stop = time.monotonic(), threading.Event()
    with serving(settings) as client:
        body = {"space": SPACE.id, "vectors": QUERIES, "k": 20}
        expected = client.post("/search", json=body).json()["results"]
        searchers = [Searcher(str(client.base_url), expected, stop) for _ in range(CLIENTS)]
        threads = [threading.Thread(target=searcher.run) for searcher in searchers]
        for thread in threads:
            thread.start()
        try:
            for swap in range(times):
                time.sleep(max(0.0, started + swap * lasting_s / times - time.monotonic()))
                reindexed(client)
            time.sleep(max(0.0, started + lasting_s - time.monotonic()))
            eventually(lambda: all(s.seen and s.seen[-1] == times + 1 for s in searchers))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    return searchers


def check(searchers: list[Searcher]) -> None:
    for searcher in searchers:
        assert searcher.wrong == []
        assert set(searcher.statuses) == {200}
        assert searcher.seen == sorted(searcher.seen), "a client went back in time"


def reindexed(client: httpx.Client) -> None:
    response = client.post("/admin/reindex", json={})
    assert response.status_code == 202, response.text
    location = response.headers["location"]
    job: dict[str, object] = {}

    def is_over() -> bool:
        job.update(client.get(location).json())
        return job["state"] not in ("queued", "running")

    eventually(is_over, within_s=60)
    assert job["state"] == "succeeded", job


def test_two_swaps_under_load(tmp_path: Path, teacher: Bundle, student: Bundle) -> None:
    check(swapped_under_load(tmp_path, teacher, student, times=2))


@pytest.mark.torture
@pytest.mark.torture_row("swap")
def test_twenty_swaps_in_a_minute_under_load(
    tmp_path: Path, teacher: Bundle, student: Bundle, record_figure: RecordFigure
) -> None:
    began = time.monotonic()
    searchers = swapped_under_load(tmp_path, teacher, student, times=20, lasting_s=60)
    statuses = sum((searcher.statuses for searcher in searchers), Counter[int]())
    record_figure("took, s", time.monotonic() - began)
    record_figure("reindexes", 20)
    record_figure("answers", statuses.total())
    record_figure("failed requests", statuses.total() - statuses[200])
    record_figure("answers mixing generations", sum(len(one.wrong) for one in searchers))
    check(searchers)
