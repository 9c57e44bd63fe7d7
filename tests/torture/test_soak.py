"""Half an hour of searches, writes and reindexes: what the processes hold does not grow."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest

from lorgnette.bundle import Bundle
from service.gauges import memory_of
from tests.service.gallery_rows import SPACE, unit_rows
from tests.service.serving import png
from tests.torture.figures import RecordFigure
from tests.torture.house import House, Running, job_of, served
from tests.torture.writers import Writer, settled, under_load, written

WHOLE_MINUTES = 30.0
REINDEXES = 10
PHOTOGRAPHS = 30
WARM_UP_MINUTES = 20.0
"""Before the half hour, under the same load: caches, Python's arenas and thread pools fill.

Measured: two workers rose from 148.5 to 150.2 MB and from 1,023 to 1,028 mappings between the
third minute and the eighteenth, and by nothing in the twelve after it. What the warm-up grew by is
recorded, so that no slow leak hides in it.
"""


@dataclass(frozen=True)
class Sample:
    """Of all workers together, at one moment. memory: bytes they allocated, which no file backs.

    pss tells nothing of growth: its part of the libraries falls and rises by a tenth when others
    on the machine that map them start and end. What a worker maps and keeps, mappings tell.
    """

    at_s: float
    memory: float
    pss: float
    descriptors: int
    mappings: int
    indexes: int


def sampled(service: Running, began: float) -> Sample:
    workers = service.workers()
    maps = [Path(f"/proc/{pid}/maps").read_text().splitlines() for pid in workers]
    return Sample(
        at_s=time.monotonic() - began,
        memory=sum(map(allocated, workers)),
        pss=sum(memory_of(pid)["pss"] for pid in workers),
        descriptors=sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in workers),
        mappings=sum(map(len, maps)),
        indexes=sum("index.faiss" in line for lines in maps for line in lines),
    )


def allocated(pid: int) -> float:
    """Bytes of a process that are its own and in no file: heap, stacks, arenas."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(1024 * float(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


@dataclass
class Searcher:
    """A client at an even pace, of every kind of search."""

    statuses: Counter[int] = field(default_factory=Counter)

    def run(self, url: str, stop: threading.Event) -> None:
        one, four = unit_rows(1, seed=2).tolist(), unit_rows(4, seed=1).tolist()
        bodies = [
            {"space": SPACE.id, "vectors": four, "k": 20},
            {"space": SPACE.id, "vectors": one, "k": 5, "rerank": "super-global"},
            {"space": SPACE.id, "vectors": one, "filter": {"field": "n", "exists": True}},
        ]
        with httpx.Client(base_url=url, timeout=20) as client:
            turn = 0
            while not stop.wait(0.05):
                turn += 1
                if turn % 10 == 0:
                    picture = png(turn % 50)
                    answer = client.post(
                        "/search/image", content=picture, headers={"content-type": "image/png"}
                    )
                else:
                    answer = client.post("/search", json=bodies[turn % 3])
                self.statuses[answer.status_code] += 1


def soaked(service: Running, *, minutes: float, reindexes: int) -> list[Sample]:
    """Reindex so many times, evenly, and sample twenty times a reindex."""
    samples, began = [], time.monotonic()
    with httpx.Client(base_url=service.url, timeout=60) as admin:
        for turn in range(reindexes):
            answer = admin.post("/admin/reindex", json={})
            assert answer.status_code == 202, answer.text
            job = job_of(admin, answer.headers["location"])
            assert job["state"] == "succeeded", job
            for step in range(1, 21):
                due = began + 60 * minutes * (turn + step / 20) / reindexes
                time.sleep(max(0.0, due - time.monotonic()))
                samples.append(sampled(service, began))
                print(samples[-1], flush=True)  # noqa: T201 - the row's log
    return samples


def percent_in_ten_minutes(samples: list[Sample]) -> float:
    """Slope of the least-squares line, in percent of the mean."""
    minutes = np.array([sample.at_s / 60 for sample in samples])
    memory = np.array([sample.memory for sample in samples])
    slope = np.polyfit(minutes, memory, 1)[0]
    return float(1000 * slope / memory.mean())


def growth(values: list[int]) -> int:
    """Of the least, from the first third to the last.

    What leaks is never given back, so it raises the least too; the most is what a swap, or threads
    that happened to run at once, held while somebody looked.
    """
    third = len(values) // 3
    return min(values[-third:]) - min(values[:third])


@pytest.mark.torture
@pytest.mark.torture_row("soak")
def test_half_an_hour_of_everything_leaves_nothing_behind(
    tmp_path: Path, teacher: Bundle, student: Bundle, record_figure: RecordFigure
) -> None:
    minutes = float(os.environ.get("SOAK_MINUTES", WHOLE_MINUTES))
    house = House.built(tmp_path, teacher, student, photographs=PHOTOGRAPHS)
    searchers, writers = [Searcher() for _ in range(3)], [Writer(f"w{n}", 0.2) for n in range(2)]
    with served(house, workers=2, LORGNETTE_MONITOR_SHARE="0.5") as service:
        with under_load(service.url, [*searchers, *writers]):
            warming = minutes * WARM_UP_MINUTES / WHOLE_MINUTES
            cold = soaked(service, minutes=warming, reindexes=5)
            warm = soaked(service, minutes=minutes, reindexes=REINDEXES)
        with httpx.Client(base_url=service.url, timeout=20) as client:
            found = written(client)
            lost = sum(writer.lost(found) for writer in writers)
            wrong = settled(client, found, others=PHOTOGRAPHS)
    statuses = sum((searcher.statuses for searcher in searchers), Counter[int]())
    slope = percent_in_ten_minutes(warm)
    descriptors = growth([sample.descriptors for sample in warm])
    mappings = growth([sample.mappings for sample in warm])
    indexes = growth([sample.indexes for sample in warm])
    record_figure("minutes", minutes)
    record_figure("searches", statuses.total())
    record_figure("writes", sum(writer.acknowledged for writer in writers))
    record_figure("memory, % per 10 min", slope)
    record_figure("in the warm-up's second half", percent_in_ten_minutes(cold[len(cold) // 2 :]))
    record_figure("descriptors more", descriptors)
    record_figure("mappings more", mappings)
    record_figure("mapped indexes more", indexes)
    record_figure("acknowledged writes lost", lost)
    assert (lost, wrong, [writer.failures for writer in writers]) == (0, "", [[], []])
    assert set(statuses) == {200}
    if minutes < WHOLE_MINUTES:
        pytest.skip(f"{minutes:g} minutes show nothing about {WHOLE_MINUTES:g}")
    assert slope < 1
    assert descriptors <= 0
    assert indexes <= 0
    assert mappings <= 0
