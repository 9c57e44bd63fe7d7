"""A full disk while a reindex job works: it fails with the reason, and space comes back."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from service import jobs
from service.gallery import generations
from service.gallery.build import index_folder
from service.gallery.catalogue import Catalogue
from service.gallery.snapshot import LiveGallery
from service.jobs import get_job
from service.reindex_plan import ReindexPlan
from tests.service.commands import ROOT, command_line
from tests.service.gallery_rows import fill, names_in, unit_rows
from tests.service.photographs import write_photographs
from tests.service.serving import eventually

JOB = "0" * 32


@pytest.mark.torture_row("disk")
def test_a_full_disk_fails_the_job_and_the_same_job_is_resumed(
    tmp_path: Path, teacher: Bundle
) -> None:
    data, space = tmp_path / "data", teacher.space
    write_photographs(tmp_path / "photos", 3)
    index_folder(tmp_path / "photos", data, teacher.directory)
    with closing(Catalogue.open(data)) as catalogue:
        fill(catalogue, unit_rows(900), space=space)
        plan = ReindexPlan(teacher=teacher.directory, factory="HNSW128", recall_gate=0.9)
        with jobs._liveness(data / "jobs", JOB), catalogue.writing() as connection:
            jobs._insert(connection, data / "jobs", JOB, plan=plan)
        before = names_in(data / "generations")
        catalogue._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert catalogue.path.stat().st_size < 700 * 1024
        again = ("reindex", "--job", JOB, "--data", data, "--teacher", teacher.directory)
        again = (*again, "--factory", "HNSW128")
        # The index is longer than a file may be; the catalogue, which must take the news, is not.
        limited = ["bash", "-c", 'ulimit -f 700; exec "$@"', "limited", *command_line(*again)]
        full = subprocess.run(limited, capture_output=True, check=False, text=True, cwd=ROOT)
        assert full.returncode == 1, full.stderr
        job = get_job(catalogue, JOB)
        assert (job.state, job.error and job.error.code) == ("failed", "disk-full"), full.stderr
        assert job.error is not None
        assert "no space left" in job.error.detail
        assert names_in(data / "generations") == before
        assert generations.read_current(data) == {space.id: 1}
        with closing(LiveGallery(data)) as gallery:
            gallery.start()
            assert gallery.snapshot(space.id).count == 903
        jobs.resume_job(data, JOB)
        eventually(lambda: get_job(catalogue, JOB).state not in ("queued", "running"), within_s=60)
        assert get_job(catalogue, JOB).state == "succeeded"
        assert generations.read_current(data) == {space.id: 2}
