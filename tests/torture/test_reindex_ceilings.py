"""A reindex for which there is no disk or no memory left: it says so, and nothing else suffers."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from lorgnette.manifest import Space
from lorgnette.wire import Job
from service import jobs
from service.gallery import footprint, generations
from service.gallery.build import index_folder
from service.gallery.catalogue import Catalogue
from service.gallery.snapshot import LiveGallery
from service.jobs import get_job
from service.reindex_plan import ReindexPlan
from tests.service.commands import ROOT, command_line
from tests.service.gallery_rows import fill, names_in, unit_rows
from tests.service.photographs import write_photographs
from tests.service.serving import eventually
from tests.tiny_bundle import space_of, write_tiny_bundle
from tests.torture.figures import RecordFigure

JOB = "2" * 32
MANY, LEFT_KIB = 600, 4000
"""Photographs; and what the disk has left when the job begins."""
DIM, ROWS = 256, 40_000


def in_small_disk(folder: Path, *, megabytes: int, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a mount namespace of its own, where `folder` is a small disk."""
    mount = f"mount -t tmpfs -o size={megabytes}m small {folder}"
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "bash", "-ec", f"{mount}; {script}"],
        capture_output=True, check=False, text=True, cwd=ROOT,
    )  # fmt: skip


def planned(catalogue: Catalogue, data: Path, plan: ReindexPlan) -> list[str]:
    """Store the job. Returns the command line of its process."""
    with jobs._liveness(data / "jobs", JOB), catalogue.writing() as connection:
        jobs._insert(connection, data / "jobs", JOB, plan=plan)
    command = ["reindex", "--job", JOB, "--data", data, "--teacher", plan.teacher]
    return command_line(*map(str, command), *(["--factory", plan.factory] if plan.factory else []))


def failed(job: Job, code: str) -> str:
    assert job.state == "failed", job
    assert job.error is not None
    assert job.error.code == code, job.error
    return job.error.detail


def check_it_serves(data: Path, space: Space, *, count: int) -> None:
    assert generations.read_current(data) == {space.id: 1}
    with closing(LiveGallery(data)) as gallery:
        gallery.start()
        assert gallery.snapshot(space.id).count == count


@pytest.mark.torture_row("disk")
def test_where_not_even_the_catalogue_can_grow_the_job_still_says_why(
    tmp_path: Path, teacher: Bundle, record_figure: RecordFigure
) -> None:
    if in_small_disk(tmp_path, megabytes=1, script="true").returncode != 0:
        pytest.skip("needs `unshare --user --mount`, to have a small disk without being root")
    data, disk, after = tmp_path / "data", tmp_path / "disk", tmp_path / "after"
    new = write_tiny_bundle(tmp_path / "teacher-2", role="gallery", space_seed=1)
    disk.mkdir()
    write_photographs(tmp_path / "photos", MANY)
    index_folder(tmp_path / "photos", data, teacher.directory)
    with closing(Catalogue.open(data)) as catalogue:
        planned(catalogue, data, ReindexPlan(new.directory, None, recall_gate=0.9))
    job = shlex.join(command_line(
        "reindex", "--job", JOB, "--data", disk / "data", "--teacher", new.directory
    ))  # fmt: skip
    reserve = disk / "data" / "jobs" / f"{JOB}.reserve"
    # Something else takes all that is left, once the job has begun.
    script = f"""
        cp -a {data} {disk}
        free() {{ df --output=avail -k {disk} | tail -n 1; }}
        head -c $(( ($(free) - {LEFT_KIB}) * 1024 )) /dev/zero > {disk}/filler
        before=$(free)
        {job} & working=$!
        until [ "$(stat -c %s {reserve} 2>/dev/null)" = 262144 ]; do
            kill -0 $working; sleep 0.01
        done
        cat /dev/zero >> {disk}/filler 2>/dev/null || truncate -r {disk}/filler {disk}/filler
        filled=$(free)
        status=0; wait $working || status=$?
        truncate -s -$(( ($before - $filled) * 1024 )) {disk}/filler
        echo "status $status before $before after $(free)"
        rm {disk}/filler
        cp -a {disk}/data {after}
    """
    done = in_small_disk(disk, megabytes=16, script=script)
    assert done.returncode == 0, done.stderr
    told = done.stdout.split()[-6:]
    assert told[:2] == ["status", "1"], done.stdout + done.stderr
    record_figure("KiB of the disk not given back", int(told[3]) - int(told[5]))
    with closing(Catalogue.open(after)) as catalogue:
        detail = failed(get_job(catalogue, JOB), "disk-full")
        assert "free space on its disk" in detail
        kept = sum(entry.has_vector for entry in catalogue.known(new.space.id))
        record_figure("embedded before the disk was full", kept)
        assert kept < MANY
    check_it_serves(after, teacher.space, count=MANY)
    assert not list((after / "jobs").glob("*.reserve"))
    with closing(Catalogue.open(after)) as catalogue:
        resumed = jobs.resume_job(after, JOB)
        eventually(lambda: get_job(catalogue, resumed.id).state in jobs.FINAL, within_s=60)
        assert get_job(catalogue, JOB).state == "succeeded"


@pytest.mark.torture
@pytest.mark.torture_row("memory-ceiling")
@pytest.mark.parametrize("more_mib", [20, 40, 60, 80])
def test_a_job_that_runs_out_of_memory_says_so(
    tmp_path: Path, teacher: Bundle, more_mib: int, record_figure: RecordFigure
) -> None:
    """The ceiling lies so far above what a process needs that only loaded its libraries."""
    data, space = tmp_path / "data", space_of(0, dim=DIM)
    wide = write_tiny_bundle(tmp_path / "teacher", role="gallery", dim=DIM)
    write_photographs(tmp_path / "photos", 3)
    index_folder(tmp_path / "photos", data, wide.directory)
    with closing(Catalogue.open(data)) as catalogue:
        fill(catalogue, unit_rows(ROWS, dim=DIM), space=space)
        plan = ReindexPlan(wide.directory, "Flat", recall_gate=0.9)
        command = planned(catalogue, data, plan)
        before = names_in(data / "generations")
        free = shutil.disk_usage(data).free
        kib = idle_kib(wide) + 1024 * more_mib
        limited = ["bash", "-c", f'ulimit -v {kib}; exec "$@"', "limited", *command]
        done = subprocess.run(
            limited, capture_output=True, check=False, text=True, cwd=ROOT, env=one_thread()
        )
        assert done.returncode == 1, done.stderr
        failed(get_job(catalogue, JOB), "not-enough-memory")
        assert names_in(data / "generations") == before
        record_figure("MB of the disk not given back", (free - shutil.disk_usage(data).free) / 1e6)
        check_it_serves(data, space, count=ROWS + 3)
        resumed = jobs.resume_job(data, JOB)
        eventually(lambda: get_job(catalogue, resumed.id).state in jobs.FINAL, within_s=120)
        assert get_job(catalogue, JOB).state == "succeeded"


def one_thread() -> dict[str, str]:
    """The environment `lorgnette serve` hands to its jobs.

    A process begun with two threads has another OpenBLAS pool, and that one ends the process by
    SIGSEGV when it cannot have its work memory, instead of raising.
    """
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def idle_kib(teacher: Bundle) -> int:
    """The most address space a process has had that loaded everything a reindex needs."""
    code = (
        "import sys; from pathlib import Path; from service import job_process;"
        "from service.embedding import open_teacher; open_teacher(Path(sys.argv[1]));"
        "print(open('/proc/self/status').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, teacher.directory],
        capture_output=True, check=True, text=True, cwd=ROOT, env=one_thread(),
    )  # fmt: skip
    return next(int(line.split()[1]) for line in done.stdout.splitlines() if "VmPeak" in line)


# Builds a space that is whole, and tells what it held when it began, and the most it ever had.
# Not by getrusage: that begins with what the process that started this one had.
BUILD = """
import sys
from pathlib import Path
from service.gallery import build
def now(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))
def opened(*asked, **options):
    encoder = opening(*asked, **options)
    print(now("VmRSS"))
    return encoder
opening, build.open_teacher = build.open_teacher, opened
options = build.Options(factory=sys.argv[3], recall_gate=0)
build.reindex(Path(sys.argv[1]), Path(sys.argv[2]), options=options)
print(now("VmHWM"))
"""


@pytest.mark.torture
@pytest.mark.torture_row("memory-estimate")
@pytest.mark.parametrize(
    ("rows", "factory"),
    [
        *((rows, factory) for rows in (20_000, 80_000) for factory in ("Flat", "auto")),
        (20_000, "HNSW32"),
        (80_000, "IVF256,Flat"),
        (80_000, "SQ8"),
        (200_000, "Flat"),
        (200_000, "auto"),
    ],
)
def test_a_build_takes_what_was_estimated(
    tmp_path: Path, rows: int, factory: str, record_figure: RecordFigure
) -> None:
    data, space = tmp_path / "data", space_of(0, dim=DIM)
    wide = write_tiny_bundle(tmp_path / "teacher", role="gallery", dim=DIM)
    with closing(Catalogue.open(data)) as catalogue:
        fill(catalogue, unit_rows(rows, dim=DIM), space=space)
    beside = footprint.estimate(count=rows, to_embed=0, dim=DIM, factory=factory).memory
    done = subprocess.run(
        [sys.executable, "-c", BUILD, data, wide.directory, factory],
        capture_output=True, check=False, text=True, cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    held, peak = map(int, done.stdout.split()[-2:])
    record_figure("least estimate/peak", (held + beside) / peak, fold=min)
    record_figure("largest estimate/peak", (held + beside) / peak)
    record_figure(f"{factory} of {rows:,}: estimated MB", (held + beside) / 1e6)
    record_figure(f"{factory} of {rows:,}: peak MB", peak / 1e6)
    assert peak <= held + beside <= 1.2 * peak
