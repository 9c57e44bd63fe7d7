"""`lorgnette jobs`: looking at, stopping and resuming what runs, whoever started it."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from service.gallery.build import Options, index_folder
from service.gallery.catalogue import Catalogue
from service.jobs import get_job, start_reindex
from service.reindex_plan import ReindexPlan
from tests.service.commands import run, start
from tests.service.photographs import write_photographs
from tests.service.test_drain import JOB_ID, running_job


@pytest.fixture
def own_teacher(tmp_path: Path, teacher: Bundle) -> Path:
    return Path(shutil.copytree(teacher.directory, tmp_path / "teacher"))


@pytest.fixture
def data(tmp_path: Path, own_teacher: Path) -> Path:
    write_photographs(tmp_path / "photos", 3)
    index_folder(tmp_path / "photos", tmp_path / "data", own_teacher, options=Options(threads=1))
    return tmp_path / "data"


@pytest.fixture
def running(data: Path) -> Iterator[str]:
    with running_job(data):
        yield JOB_ID


def reindex(data: Path, teacher: Path) -> str:
    return start_reindex(data, ReindexPlan(teacher=teacher, factory=None, recall_gate=0.9)).id


def test_a_job_is_followed_to_its_end_and_shown(data: Path, own_teacher: Path) -> None:
    job_id = reindex(data, own_teacher)
    followed = run("jobs", "follow", "--data", data)
    assert followed.returncode == 0, followed.stderr
    assert followed.stdout == f"job {job_id}: succeeded\n"
    shown = json.loads(run("jobs", "show", "--data", data).stdout)
    assert (shown["id"], shown["state"]) == (job_id, "succeeded")
    assert run("jobs", "list", "--data", data).stdout.split()[:3] == [
        job_id, "reindex", "succeeded",
    ]  # fmt: skip
    for verb in ("cancel", "resume"):
        refused = run("jobs", verb, job_id, "--data", data)
        assert refused.returncode == 1
        assert f"there is nothing to {verb}" in " ".join(refused.stderr.split())


def test_a_failed_job_fails_who_follows_it_and_is_resumed_when_mended(
    data: Path, own_teacher: Path
) -> None:
    model = own_teacher / "model.onnx"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    job_id = reindex(data, own_teacher)
    failed = run("jobs", "follow", job_id, "--data", data)
    assert failed.returncode == 1
    assert failed.stdout.startswith(f"job {job_id}: failed: ")
    assert "sha256" in failed.stdout
    model.write_bytes(content)
    resumed = run("jobs", "resume", job_id, "--data", data)
    assert (resumed.returncode, resumed.stdout.split()[:2]) == (0, ["job", job_id]), resumed.stderr
    assert run("jobs", "follow", job_id, "--data", data).returncode == 0


def test_a_running_job_is_asked_to_stop(data: Path, running: str) -> None:
    asked = run("jobs", "cancel", running, "--data", data)
    assert asked.returncode == 0, asked.stderr
    assert "was asked to stop" in asked.stdout
    with closing(Catalogue.open(data)) as catalogue, catalogue.reading() as connection:
        assert connection.execute("SELECT is_cancelled FROM jobs").fetchall() == [(1,)]


def test_who_stops_looking_stops_no_job(data: Path, running: str) -> None:
    follower = start("jobs", "follow", "--data", data)
    assert follower.stderr is not None
    assert "3/10" in follower.stderr.readline()
    follower.send_signal(signal.SIGINT)
    _, said = follower.communicate(timeout=20)
    assert (follower.returncode, said) == (130, f"job {running} goes on\n")
    with closing(Catalogue.open(data)) as catalogue:
        assert get_job(catalogue, running).state == "running"


def test_a_job_whose_process_died_reads_interrupted_and_ends_the_following(data: Path) -> None:
    with running_job(data):
        follower = start("jobs", "follow", JOB_ID, "--data", data)
        assert follower.stderr is not None
        assert "3/10" in follower.stderr.readline()
    said, _ = follower.communicate(timeout=20)
    assert (follower.returncode, said) == (1, f"job {JOB_ID}: interrupted\n")


def test_an_unknown_job_and_no_job_at_all_are_told(data: Path) -> None:
    for job in ("nonsense", "../../etc/passwd", "0" * 32):
        told = run("jobs", "show", job, "--data", data)
        assert (told.returncode, "there is no job" in told.stderr) == (1, True)
    none = run("jobs", "follow", "--data", data)
    assert (none.returncode, "no job was ever started" in none.stderr) == (1, True)
    assert run("jobs", "list", "--data", data).stdout == ""
