"""SIGKILL at named points of a reindex job's process: the old index serves, the job is resumed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import NotFound
from service import jobs
from service.gallery import generations, writes
from service.gallery.build import index_folder, reindex
from service.gallery.catalogue import Catalogue
from service.gallery.records import Put, Stamp
from service.gallery.snapshot import LiveGallery
from service.gallery.steering import retire
from service.jobs import get_job
from service.reindex_plan import ReindexPlan
from tests.service.commands import ROOT
from tests.service.gallery_rows import brute_force, unit_rows
from tests.service.photographs import write_photographs
from tests.service.serving import eventually
from tests.tiny_bundle import write_tiny_bundle

JOB = "1" * 32
FOREVER = 90

# The job's own process, which kills itself before or after the n-th call of the named step.
CHILD = """
import os, signal, sys
from pathlib import Path
from service import job_process
from service.gallery import aligning, build, faiss_index, generations, publish, steering
from service.gallery.catalogue import Catalogue
data, teacher, student, job, when, point, left = sys.argv[1:]
left = int(left)
POINTS = {
    "enter": (Catalogue, "enter"),
    "estimate": (build.footprint, "check"),
    "embed": (build, "_write_vectors"),
    "progress": (job_process.JobReporter, "progress"),
    "build": (faiss_index, "build"),
    "index": (faiss_index.Index, "write"),
    "file": (publish.durable, "write_synced"),
    "self-check": (publish, "_ask"),
    "seal": (publish, "_seal"),
    "rename": (Path, "rename"),
    "current": (publish.generations, "promote"),
    "old-generations": (publish, "collect"),
    "sources": (build.sources, "collect"),
    "align": (aligning, "align_fitting"),
    "say": (job_process.JobReporter, "succeeded"),
    "withdraw": (steering.generations, "withdraw"),
    "vectors": (steering, "_remove_vectors"),
    "generations": (steering, "_remove_generations"),
}
owner, name = POINTS[point]
real = getattr(owner, name)
def dying(*arguments, **named):
    global left
    left -= 1
    if left < 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = real(*arguments, **named)
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
setattr(owner, name, dying)
if job == "retire":
    steering.retire(Catalogue.open(Path(data)), Path(data), student)
else:
    job_process.reindex_as_job(
        Path(data), Path(teacher), students=[Path(student)], options=build.Options(), job_id=job
    )
"""

# The step, and the occurrence that is killed: of a folder of 33 or more, embedded by 32.
POINTS = [
    ("after", "enter", 0), ("before", "estimate", 0), ("before", "embed", 0), ("after", "embed", 0),
    ("before", "embed", 1), ("after", "progress", 1), ("before", "build", 0), ("after", "build", 0),
    ("after", "index", 0), ("after", "file", 0), ("after", "file", 1), ("after", "file", 2),
    ("before", "self-check", 0), ("after", "self-check", 0), ("before", "seal", 0),
    ("before", "rename", 0), ("after", "rename", 0), ("before", "current", 0),
    ("after", "current", 0), ("before", "old-generations", 0), ("after", "sources", 0),
    ("before", "align", 0), ("after", "align", 0), ("before", "say", 0), ("after", "say", 0),
]  # fmt: skip
COUNTS = (33, 40, 64, 65, 70)


def killed(data: Path, *arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(data), *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == -9, done.stderr


def told(data: Path, space_id: str, query: np.ndarray, *, k: int) -> list[tuple[str, float]]:
    with closing(LiveGallery(data)) as gallery, closing(Catalogue.open(data)) as catalogue:
        gallery.start()
        (hits,) = gallery.snapshot(space_id).search(query[None], k=k)
        items = catalogue.items([hit.key for hit in hits])
        return [(items[hit.key].id, hit.score) for hit in hits]


def oracle(
    truth: dict[str, np.ndarray], query: np.ndarray, *, keys: dict[str, int]
) -> list[tuple[str, float]]:
    ids = {key: name for name, key in keys.items() if name in truth}
    found = brute_force({key: truth[name] for key, name in ids.items()}, query, k=len(truth))
    return [(ids[key], score) for key, score in found]


def check(tmp_path: Path, teacher: Bundle, point: tuple[str, str, int], *, count: int) -> None:
    data, old = tmp_path / "data", teacher.space
    new = write_tiny_bundle(tmp_path / "teacher-2", role="gallery", space_seed=1)
    student = write_tiny_bundle(tmp_path / "student-2", role="query", space_seed=1)
    paths = write_photographs(tmp_path / "photos", count)
    index_folder(tmp_path / "photos", data, teacher.directory)
    truth = {
        bundle.space.id: {path.name: Encoder(bundle).encode(path) for path in paths}
        for bundle in (teacher, new)
    }
    query = unit_rows(1, seed=9)[0]
    with closing(Catalogue.open(data)) as catalogue:
        keys = {entry.id: entry.key for entry in catalogue.known(old.id)}
        plan = ReindexPlan(new.directory, None, recall_gate=0.9, students=(student.directory,))
        with jobs._liveness(data / "jobs", JOB), catalogue.writing() as connection:
            jobs._insert(connection, data / "jobs", JOB, plan=plan)
        when, name, occurrence = point
        killed(data, new.directory, student.directory, JOB, when, name, occurrence)
        is_over = point == ("after", "say", 0)
        assert get_job(catalogue, JOB).state == ("succeeded" if is_over else "interrupted")
        put = Put(id="later", source="", stamp=Stamp(0, 0), metadata={}, vectors={old: query})
        writes.write(catalogue, [put])
        keys["later"] = next(e.key for e in catalogue.known(old.id) if e.id == "later")
        truth[old.id]["later"] = query
        assert told(data, old.id, query, k=count + 1) == oracle(truth[old.id], query, keys=keys)
        for number in generations.read_current(data).values():
            generations.verify(generations.directory_of(data, number))
        if not is_over:
            jobs.resume_job(data, JOB)
            eventually(lambda: get_job(catalogue, JOB).state in jobs.FINAL, within_s=FOREVER)
        assert get_job(catalogue, JOB).state == "succeeded", get_job(catalogue, JOB)
        for space, items in truth.items():
            assert told(data, space, query, k=len(items)) == oracle(items, query, keys=keys)
        assert set(generations.read_current(data)) == set(truth)
        assert not list((data / "generations").glob(".*"))


RETIRE_POINTS = [
    ("before", "withdraw", 0), ("after", "withdraw", 0), ("before", "vectors", 0),
    ("after", "vectors", 0), ("before", "generations", 0), ("after", "generations", 0),
]  # fmt: skip


@pytest.mark.torture
@pytest.mark.torture_row("crash-reindex")
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("point", RETIRE_POINTS, ids=lambda point: "-".join(map(str, point)))
def test_a_killed_retirement_is_called_again(
    tmp_path: Path, teacher: Bundle, point: tuple[str, str, int], count: int
) -> None:
    data, old = tmp_path / "data", teacher.space.id
    new = write_tiny_bundle(tmp_path / "teacher-2", role="gallery", space_seed=1)
    paths = write_photographs(tmp_path / "photos", count)
    index_folder(tmp_path / "photos", data, teacher.directory)
    reindex(data, new.directory)
    killed(data, "-", old, "retire", *point)
    truth = {path.name: Encoder(new).encode(path) for path in paths}
    query = unit_rows(1, seed=9)[0]
    with closing(Catalogue.open(data)) as catalogue:
        keys = {entry.id: entry.key for entry in catalogue.known(new.space.id)}
        assert told(data, new.space.id, query, k=count) == oracle(truth, query, keys=keys)
        with suppress(NotFound):
            retire(catalogue, data, old)
        assert {space.id for space in catalogue.spaces()} == {new.space.id}
        assert set(generations.read_current(data)) == {new.space.id}
        assert len(generations.published(data)) == 1
        assert told(data, new.space.id, query, k=count) == oracle(truth, query, keys=keys)


@pytest.mark.torture_row("crash-reindex")
@pytest.mark.parametrize("point", [("after", "embed", 0), ("before", "current", 0)])
def test_a_killed_job_is_resumed(
    tmp_path: Path, teacher: Bundle, point: tuple[str, str, int]
) -> None:
    check(tmp_path, teacher, point, count=33)


@pytest.mark.torture
@pytest.mark.torture_row("crash-reindex")
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("point", POINTS, ids=lambda point: "-".join(map(str, point)))
def test_killed_at_a_named_point_a_job_is_resumed(
    tmp_path: Path, teacher: Bundle, point: tuple[str, str, int], count: int
) -> None:
    check(tmp_path, teacher, point, count=count)
