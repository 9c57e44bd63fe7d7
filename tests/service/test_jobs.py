from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from lorgnette.errors import Conflict, GalleryBusy, InvalidBundle, NotFound
from lorgnette.wire import Job
from service import job_process, jobs
from service.gallery import generations
from service.gallery.build import Options, index_folder
from service.gallery.catalogue import Catalogue
from service.gallery.files import writer_lock
from service.job_process import reindex_as_job
from service.jobs import get_job, list_jobs, start_reindex
from service.reindex_plan import ReindexPlan
from tests.service.photographs import write_photographs
from tests.tiny_bundle import write_tiny_bundle

DEADLINE_S = 60
ENDED = ("succeeded", "failed", "cancelled", "interrupted")


@pytest.fixture
def data(tmp_path: Path, teacher: Bundle) -> Path:
    write_photographs(tmp_path / "photos", 40)
    index_folder(tmp_path / "photos", tmp_path / "data", teacher.directory)
    return tmp_path / "data"


@pytest.fixture
def other_teacher(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "other", role="gallery", space_seed=1)


@pytest.fixture
def catalogue(data: Path) -> Iterator[Catalogue]:
    with closing(Catalogue.open(data)) as opened:
        yield opened


def wait_for(catalogue: Catalogue, job: Job, is_so: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so(found := get_job(catalogue, job.id)):
        assert time.monotonic() < deadline, log_of(catalogue, job)
        time.sleep(0.01)
    return found


def ended(job: Job) -> bool:
    return job.state in ENDED


def log_of(catalogue: Catalogue, job: Job) -> str:
    return (catalogue.path.parent / "jobs" / f"{job.id}.log").read_text()


def start(data: Path, teacher: Bundle, *, factory: str | None = None) -> Job:
    return start_reindex(data, plan_of(teacher, factory=factory))


def plan_of(teacher: Bundle, *, factory: str | None = None) -> ReindexPlan:
    return ReindexPlan(teacher=teacher.directory, factory=factory, recall_gate=0.9)


def test_a_reindex_in_its_own_process_tells_how_it_went(
    data: Path, catalogue: Catalogue, other_teacher: Bundle
) -> None:
    job = start(data, other_teacher)
    assert (job.kind, job.state in ("queued", "running")) == ("reindex", True)
    done = wait_for(catalogue, job, ended)
    assert done.state == "succeeded", log_of(catalogue, job)
    assert done.result is not None
    assert (done.result["embedded"], done.result["generation"]) == (40, 2)
    assert (done.error, done.eta_s) == (None, None)
    assert generations.read_current(data)[other_teacher.space.id] == 2
    assert list_jobs(catalogue) == [done]


def test_only_one_reindex_runs_at_a_time(data: Path, catalogue: Catalogue, teacher: Bundle) -> None:
    first = start(data, teacher)
    with pytest.raises((Conflict, GalleryBusy)) as caught:
        start(data, teacher)
    assert first.id in str(caught.value) or "is indexing" in str(caught.value)
    assert wait_for(catalogue, first, ended).state == "succeeded"
    second = start(data, teacher)
    assert wait_for(catalogue, second, ended).state == "succeeded"
    assert [job.id for job in list_jobs(catalogue)] == [second.id, first.id]


def test_a_killed_job_reads_interrupted_and_the_next_one_may_start(
    data: Path, catalogue: Catalogue, other_teacher: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    popen = jobs.subprocess.Popen

    def noted(*arguments: object, **options: object) -> object:
        process = popen(*arguments, **options)  # type: ignore[call-overload]
        started.append(process.pid)
        return process

    monkeypatch.setattr(jobs.subprocess, "Popen", noted)
    job = start(data, other_teacher)
    monkeypatch.undo()
    os.kill(started[0], signal.SIGKILL)
    assert wait_for(catalogue, job, ended).state == "interrupted"
    told = wait_for(catalogue, job, lambda job: job.error is not None)
    assert told.state == "interrupted"
    assert told.error is not None
    assert "signal 9" in told.error.detail
    assert generations.read_current(data).keys() != {other_teacher.space.id}
    again = start(data, other_teacher)
    assert wait_for(catalogue, again, ended).state == "succeeded"
    assert get_job(catalogue, job.id).state == "interrupted"


def test_a_failing_job_stores_the_error_as_a_problem(
    data: Path, catalogue: Catalogue, student: Bundle
) -> None:
    job = wait_for(catalogue, start(data, student), ended)
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.status) == (InvalidBundle.code, 500)
    assert "expected a gallery bundle" in job.error.detail


def test_a_bug_in_a_job_is_told_too(
    data: Path, catalogue: Catalogue, teacher: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    job_id = "0" * 32
    with jobs._liveness(data / "jobs", job_id):
        with catalogue.writing() as connection:
            jobs._insert(connection, data / "jobs", job_id, plan=plan_of(teacher))
        monkeypatch.setattr(job_process, "reindex", explode)
        with pytest.raises(ZeroDivisionError):
            reindex_as_job(data, teacher.directory, students=(), options=Options(), job_id=job_id)
        job = get_job(catalogue, job_id)
    assert job.state == "failed"
    assert job.error is not None
    assert "ZeroDivisionError: a bug" in job.error.detail


def test_while_somebody_indexes_no_job_starts(
    data: Path, catalogue: Catalogue, teacher: Bundle
) -> None:
    with writer_lock(data), pytest.raises(GalleryBusy, match=f"process {os.getpid()}"):
        start(data, teacher)
    assert list_jobs(catalogue) == []


@pytest.mark.parametrize("job_id", ["", "absent", "../../catalogue", "0" * 32, "x" * 5000, "é\0"])
def test_a_job_that_never_was_is_not_found(catalogue: Catalogue, job_id: str) -> None:
    with pytest.raises(NotFound, match="there is no job"):
        get_job(catalogue, job_id)
