"""The indexer is killed at random moments; the same command goes on; searches never stop."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import LorgnetteError
from lorgnette.vectors import Vectors
from service.gallery import generations
from service.gallery.build import index_folder
from service.gallery.catalogue import Catalogue
from service.gallery.snapshot import LiveGallery
from tests.service.commands import ROOT, command_line, run, start
from tests.service.gallery_rows import ids_and_scores
from tests.service.photographs import write_photographs

COUNT, FIRST, KILLS = 300, 20, 10
DEADLINE_S = 60


class Searcher(threading.Thread):
    """Asks without pause. Whatever was found once must be found ever after."""

    def __init__(self, data: Path, space_id: str, queries: Vectors) -> None:
        super().__init__(daemon=True)
        self.gallery = LiveGallery(data, poll_s=0.02)
        self.gallery.start()
        self.space_id, self.queries = space_id, queries
        self.answers, self.failures = 0, list[str]()
        self.stopping = threading.Event()

    def run(self) -> None:
        least = FIRST
        while not self.stopping.wait(0.03):
            try:
                snapshot = self.gallery.snapshot(self.space_id)
                found = snapshot.search(self.queries, k=COUNT)
            except LorgnetteError as error:
                self.failures.append(str(error))
                continue
            counts = {len({hit.key for hit in hits}) for hits in found}
            if counts != {snapshot.count} or snapshot.count < least:
                self.failures.append(f"found {counts} of {snapshot.count}, had {least}")
            least = snapshot.count
            self.answers += 1

    def stop(self) -> None:
        self.stopping.set()
        self.join()
        self.gallery.close()


def wait_until(process: subprocess.Popen[str], is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.004)


def is_writing(data: Path, process: subprocess.Popen[str]) -> Callable[[], bool]:
    lock = data / "writer.lock"
    return lambda: lock.exists() and lock.read_text() == f"{process.pid}\n"


def has_reached(catalogue: Catalogue, *, seq: int) -> Callable[[], bool]:
    return lambda: catalogue.seq() >= seq


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_killed_ten_times_every_photograph_is_indexed_once(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    photos, data = tmp_path / "photos", tmp_path / "data"
    paths = write_photographs(photos, FIRST)
    index_folder(photos, data, teacher.directory)
    paths += write_photographs(photos, COUNT - FIRST, first=FIRST)
    encoder = Encoder(student)
    queries = np.stack([encoder.encode(path) for path in paths[::10]])
    again = ("index", photos, "--data", data, "--teacher", teacher.directory, "--threads", "2")
    searcher = Searcher(data, teacher.space.id, queries[:3])
    searcher.start()
    rng = random.Random(20)
    with closing(Catalogue.open(data)) as catalogue:
        first_seq, batches = catalogue.seq(), (COUNT - FIRST) // 32
        for moment in sorted(rng.randrange(batches) for _ in range(KILLS - 1)):
            process = start(*again)
            wait_until(process, is_writing(data, process))
            wait_until(process, has_reached(catalogue, seq=first_seq + moment))
            time.sleep(rng.random() * 0.05)
            kill(process)
        process = start(*again)
        wait_until(process, lambda: any((data / "generations").glob(".*.building")))
        kill(process)
        finished = run(*again)
        assert finished.returncode == 0, finished.stderr
        searcher.stop()
        assert (searcher.failures, searcher.answers > 50) == ([], True)
        ids = [entry.id for entry in catalogue.known(teacher.space.id) if entry.has_vector]
        assert ids == [path.name for path in paths]
        live = generations.live_manifest(data, teacher.space.id)
        assert live is not None
        assert live.count == COUNT
        resumed = results(data, catalogue, teacher, queries)
    index_folder(photos, tmp_path / "fresh", teacher.directory)
    with closing(Catalogue.open(tmp_path / "fresh")) as fresh:
        assert resumed == results(tmp_path / "fresh", fresh, teacher, queries)


def results(
    data: Path, catalogue: Catalogue, teacher: Bundle, queries: Vectors
) -> list[list[tuple[str, float]]]:
    with closing(LiveGallery(data)) as gallery:
        gallery.start()
        snapshot = gallery.snapshot(teacher.space.id)
        assert [part.count for part in snapshot.parts] == [COUNT, 0]
        return ids_and_scores(snapshot, catalogue, queries, k=COUNT)


def test_of_two_indexers_at_once_one_works_and_one_is_told(tmp_path: Path, teacher: Bundle) -> None:
    photos, data = tmp_path / "photos", tmp_path / "data"
    write_photographs(photos, 200)
    again = ("index", photos, "--data", data, "--teacher", teacher.directory)
    first = start(*again)
    wait_until(first, is_writing(data, first))
    first.send_signal(signal.SIGSTOP)
    second = run(*again)
    first.send_signal(signal.SIGCONT)
    first.communicate()
    assert first.returncode == 0
    assert second.returncode not in (0, None)
    assert f"process {first.pid} is indexing" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, teacher: Bundle, times: int) -> None:
    photos, data = tmp_path / "photos", tmp_path / "data"
    write_photographs(photos, 400)
    again = ("index", photos, "--data", data, "--teacher", teacher.directory, "--threads", "1")
    process = start(*again)
    with closing(Catalogue.open(data)) as catalogue:
        wait_until(process, has_reached(catalogue, seq=1))
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        _, errors = process.communicate()
        assert process.returncode == 130
        assert "run the same command again to go on" in errors
        assert "Traceback" not in errors
        assert 0 < len(catalogue.known(teacher.space.id)) < 400


def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(
    tmp_path: Path, teacher: Bundle
) -> None:
    photos, data = tmp_path / "photos", tmp_path / "data"
    write_photographs(photos, 60)
    again = ("index", photos, "--data", data, "--teacher", teacher.directory)
    limited = ["bash", "-c", 'ulimit -f 60; exec "$@"', "limited", *command_line(*again)]
    full = subprocess.run(limited, capture_output=True, check=False, text=True, cwd=ROOT)
    assert full.returncode == 1
    assert full.stderr.splitlines()[-1].endswith("everything acknowledged so far is kept")
    assert "Traceback" not in full.stderr
    finished = run(*again)
    assert finished.returncode == 0, finished.stderr
    assert "generation 1 published: 60 photographs" in finished.stdout
