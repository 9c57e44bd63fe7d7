"""Killed at random while clients write and reindexes run: what was acknowledged is there."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from service.gallery import generations
from tests.service.serving import eventually
from tests.torture.figures import RecordFigure
from tests.torture.house import House, Running, command_of, is_ready, job_of, served
from tests.torture.writers import Writer, settled, under_load, written

KILLS, WRITERS, PHOTOGRAPHS = 50, 4, 20
LONGEST_S = 300.0
READY_WITHIN_S = 5.0


@dataclass
class Seen:
    """What the kills cost."""

    lost: int = 0
    torn: int = 0
    unlike_oracle: list[str] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)
    jobs_killed: int = 0


@dataclass
class Torturer:
    """Kills, and looks after each whether everything is there."""

    house: House
    workers: int
    seen: Seen = field(default_factory=Seen)
    chance: random.Random = field(default_factory=lambda: random.Random(50))
    writers: list[Writer] = field(default_factory=lambda: [Writer(f"w{n}") for n in range(WRITERS)])

    def run(self, kills: int) -> None:
        """So many kills, each looked at."""
        done = 0
        while True:
            with served(self.house, workers=self.workers) as service:
                if done:
                    self.seen.ready_s.append(service.ready_s)
                    self.seen.waited_s.append(service.waited_s)
                    self._look(service)
                if done >= kills:
                    self._reindex_succeeds(service)
                    return
                if self.workers > 1 and self.chance.random() < 0.5:
                    self._kill_one_worker(service)
                    done += 1
                self._kill_under_load(service)
                done += 1

    def _kill_under_load(self, service: Running) -> None:
        with under_load(service.url, self.writers):
            if self.chance.random() < 0.5:
                with httpx.Client(base_url=service.url, timeout=20) as client:
                    client.post("/admin/reindex", json={})
            time.sleep(self.chance.uniform(0.1, 1.5))
            service.kill_all()
            if self.chance.random() < 0.5:
                self._kill_job()
        # One that was spared may end; the next service must live with it either way.

    def _kill_one_worker(self, service: Running) -> None:
        victim = self.chance.choice(service.workers())
        with under_load(service.url, self.writers):
            time.sleep(self.chance.uniform(0.1, 1.0))
            os.kill(victim, signal.SIGKILL)
            killed = time.monotonic()
            eventually(lambda: is_ready(service.url))
            self.seen.ready_s.append(time.monotonic() - killed)
            eventually(lambda: victim not in (now := service.workers()) and len(now) > 1)
        self._look(service)

    def _kill_job(self) -> None:
        for path in Path("/proc").glob("[0-9]*"):
            command = command_of(int(path.name))
            if "--job" in command and str(self.house.data) in command:
                with suppress(ProcessLookupError):
                    os.kill(int(path.name), signal.SIGKILL)
                    self.seen.jobs_killed += 1

    def _look(self, service: Running) -> None:
        """Nothing acknowledged is lost, batches are whole, a verified generation is live."""
        with httpx.Client(base_url=service.url, timeout=20) as client:
            found = written(client)
            self.seen.lost += sum(writer.lost(found) for writer in self.writers)
            self.seen.torn += sum(writer.is_torn(found) for writer in self.writers)
            wrong = settled(client, found, others=PHOTOGRAPHS)
            self.seen.unlike_oracle += [wrong] if wrong else []
        current = generations.read_current(self.house.data)
        assert current
        for number in current.values():
            generations.verify(generations.directory_of(self.house.data, number))

    def _reindex_succeeds(self, service: Running) -> None:
        with httpx.Client(base_url=service.url, timeout=20) as client:
            answer: list[httpx.Response] = []

            def is_accepted() -> bool:
                answer.append(client.post("/admin/reindex", json={}))
                return answer[-1].status_code == 202

            eventually(is_accepted, within_s=60)
            assert job_of(client, answer[-1].headers["location"])["state"] == "succeeded"


def tortured(house: House, record_figure: RecordFigure, *, workers: int) -> None:
    torturer, began = Torturer(house, workers), time.monotonic()
    torturer.run(KILLS)
    took, seen = time.monotonic() - began, torturer.seen
    record_figure("kills", len(seen.ready_s))
    record_figure("jobs killed too", seen.jobs_killed)
    record_figure("took, s", took)
    record_figure("acknowledged writes", sum(writer.acknowledged for writer in torturer.writers))
    record_figure("lost", seen.lost)
    record_figure("torn batches", seen.torn)
    record_figure("unlike the oracle", len(seen.unlike_oracle))
    record_figure("slowest ready again, s", max(seen.ready_s))
    record_figure("median ready again, s", statistics.median(seen.ready_s))
    record_figure("most waited for a core, s", max(seen.waited_s))
    assert [writer.failures for writer in torturer.writers] == [[]] * WRITERS
    assert (seen.lost, seen.torn, seen.unlike_oracle) == (0, 0, [])
    assert len(seen.ready_s) >= KILLS
    assert max(seen.ready_s) < READY_WITHIN_S
    assert took < LONGEST_S


@pytest.mark.torture
@pytest.mark.torture_row("crash-random")
def test_fifty_kills_lose_nothing_that_was_acknowledged(
    tmp_path: Path, teacher: Bundle, student: Bundle, record_figure: RecordFigure
) -> None:
    house = House.built(tmp_path, teacher, student, photographs=PHOTOGRAPHS)
    tortured(house, record_figure, workers=1)


@pytest.mark.torture
@pytest.mark.torture_row("crash-random-workers")
def test_fifty_kills_of_two_workers_and_of_one_lose_nothing(
    tmp_path: Path, teacher: Bundle, student: Bundle, record_figure: RecordFigure
) -> None:
    house = House.built(tmp_path, teacher, student, photographs=PHOTOGRAPHS)
    tortured(house, record_figure, workers=2)
