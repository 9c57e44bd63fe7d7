"""Long tasks as rows of the catalogue, worked off by a process of their own.

The row comes first, then the process. That a job's process lives is told by a file lock which
the process inherits and the kernel releases when it ends, however it ends: no process id to be
used twice, and nothing to clean up.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from pydantic import JsonValue

from lorgnette.errors import Conflict, LorgnetteError, NotFound, by_code
from lorgnette.wire import PROBLEM_TYPE, Job, JobState, Problem
from service.gallery.build import Options, Summary, reindex
from service.gallery.catalogue import Catalogue, now
from service.gallery.files import disk_errors, is_unlocked, refuse_if_writing
from service.progress import Progress

JOBS_NAME = "jobs"

_LISTED = 100
_HEARTBEAT_S = 0.5
_COLUMNS = (
    "id, kind, state, stage, done, total, rate, eta_s, created_at, heartbeat_at, result, error"
)
_UNFINISHED = ("queued", "running")


def get_job(catalogue: Catalogue, job_id: str) -> Job:
    """One job as it is now; one whose process is gone reads "interrupted". Raises `NotFound`."""
    # First the process, then the row: the row of a process that was gone before is final.
    is_alive = _is_alive(catalogue.path.parent / JOBS_NAME, job_id)
    with catalogue.reading() as connection:
        row = connection.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE id = ?",  # noqa: S608 - a constant
            (job_id,),
        ).fetchone()
    if row is None:
        raise NotFound(f"there is no job {job_id!r}: it was never started here")
    return _job(row, is_alive=is_alive)


def list_jobs(catalogue: Catalogue) -> list[Job]:
    """The latest jobs, newest first, at most 100."""
    with catalogue.reading() as connection:
        rows = connection.execute(
            f"SELECT id FROM jobs ORDER BY created_at DESC, rowid DESC LIMIT {_LISTED}"  # noqa: S608
        ).fetchall()
    return [get_job(catalogue, job_id) for (job_id,) in rows]


def start_reindex(data: Path, *, teacher: Path, factory: str | None, recall_gate: float) -> Job:
    """Start `lorgnette reindex` in a process of its own, which outlives this one.

    Raises `Conflict` naming the job that runs, `GalleryBusy` while somebody else is indexing.
    """
    refuse_if_writing(data)
    job_id = uuid.uuid4().hex
    with (
        closing(Catalogue.open(data)) as catalogue,
        _liveness(data / JOBS_NAME, job_id) as lock,
    ):
        _insert(catalogue, job_id, kind="reindex")
        command = [sys.executable, "-m", "lorgnette", "reindex", "--job", job_id]
        command += ["--data", str(data.resolve()), "--teacher", str(teacher.resolve())]
        command += ["--recall-gate", str(recall_gate)]
        command += ["--factory", factory] if factory is not None else []
        _spawn(command, log=data / JOBS_NAME / f"{job_id}.log", keep_open=lock)
        return get_job(catalogue, job_id)


def reindex_as_job(data: Path, teacher: Path, *, options: Options, job_id: str) -> Summary:
    """Reindex as the process of a job: its row tells how it goes and what came of it.

    Raises what `reindex` raises, after storing it.
    """
    with closing(Catalogue.open(data)) as catalogue:
        reporter = JobReporter(catalogue, job_id)

        def report(progress: Progress) -> None:
            reporter.progress(progress)
            options.report(progress)

        try:
            summary = reindex(data, teacher, options=replace(options, report=report))
        except LorgnetteError as error:
            reporter.failed(error)
            raise
        except KeyboardInterrupt:
            reporter.interrupted()
            raise
        except Exception as error:
            reporter.failed(LorgnetteError(f"{type(error).__name__}: {error}; see the job's log"))
            raise
        reporter.succeeded(_result(summary))
    return summary


class JobReporter:
    """The process of a job telling the catalogue how it goes."""

    def __init__(self, catalogue: Catalogue, job_id: str) -> None:
        self._catalogue = catalogue
        self._job_id = job_id
        self._told = -_HEARTBEAT_S

    def progress(self, progress: Progress) -> None:
        """Store progress, at most twice a second; the first and last of a stage always."""
        moment = time.monotonic()
        is_end = progress.done in (0, progress.total)
        if moment - self._told < _HEARTBEAT_S and not is_end:
            return
        self._told = moment
        fields = (progress.stage, progress.done, progress.total, progress.rate, progress.eta_s)
        with self._catalogue.writing() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'running', stage = ?, done = ?, total = ?, rate = ?,"
                " eta_s = ?, heartbeat_at = ? WHERE id = ?",
                (*fields, now(), self._job_id),
            )

    def succeeded(self, result: dict[str, JsonValue]) -> None:
        """Store what came of it."""
        self._finish("succeeded", result=json.dumps(result), error=None)

    def failed(self, error: LorgnetteError) -> None:
        """Store why nothing came of it."""
        cause = {"code": error.code, "detail": str(error)}
        self._finish("failed", result=None, error=json.dumps(cause))

    def interrupted(self) -> None:
        """Store that somebody stopped it; what it acknowledged is kept."""
        self._finish("interrupted", result=None, error=None)

    def _finish(self, state: JobState, *, result: str | None, error: str | None) -> None:
        with self._catalogue.writing() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, stage = ?, eta_s = NULL, heartbeat_at = ?, result = ?,"
                " error = ? WHERE id = ?",
                (state, state, now(), result, error, self._job_id),
            )


def _result(summary: Summary) -> dict[str, JsonValue]:
    return {
        "space": summary.live.space.id,
        "generation": summary.live.generation,
        "count": summary.live.count,
        "factory": summary.live.factory,
        "recall_at_10": summary.live.recall_at_10,
        "embedded": summary.embedded,
        "unchanged": summary.unchanged,
        "skipped": len(summary.skipped),
    }


@contextmanager
def _liveness(folder: Path, job_id: str) -> Iterator[BinaryIO]:
    """The job's lock file, locked: by us for now, by its process once that has inherited it."""
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
        file = (folder / f"{job_id}.lock").open("xb")
    with file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield file


def _insert(catalogue: Catalogue, job_id: str, *, kind: str) -> None:
    """Add the row, unless another of its kind has a living process."""
    folder = catalogue.path.parent / JOBS_NAME
    with catalogue.writing() as connection:
        for other, state in connection.execute(
            "SELECT id, state FROM jobs WHERE kind = ? AND state IN (?, ?)", (kind, *_UNFINISHED)
        ).fetchall():
            if _is_alive(folder, other):
                raise Conflict(f"{kind} {other} is {state}: wait for it, then start another")
            connection.execute("UPDATE jobs SET state = 'interrupted' WHERE id = ?", (other,))
        moment = now()
        connection.execute(
            f"INSERT INTO jobs ({_COLUMNS}) VALUES"  # noqa: S608 - a constant
            " (?, ?, 'queued', 'queued', 0, 0, NULL, NULL, ?, ?, NULL, NULL)",
            (job_id, kind, moment, moment),
        )


def _spawn(command: list[str], *, log: Path, keep_open: BinaryIO) -> None:
    """Start a process in its own session. It holds the lock file open, and so locked."""
    with disk_errors(log.parent), log.open("xb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(keep_open.fileno(),),
        )
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()


def _is_alive(folder: Path, job_id: str) -> bool:
    if not re.fullmatch(r"[0-9a-f]{32}", job_id):
        return False
    try:
        descriptor = os.open(folder / f"{job_id}.lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        return not is_unlocked(descriptor)
    finally:
        os.close(descriptor)


def _job(row: tuple[object, ...], *, is_alive: bool) -> Job:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    if fields["state"] in _UNFINISHED and not is_alive:
        fields["state"], fields["eta_s"] = "interrupted", None
    result, error = cast("str | None", fields["result"]), cast("str | None", fields["error"])
    fields["result"] = None if result is None else json.loads(result)
    fields["error"] = None if error is None else _problem(json.loads(error))
    return Job.model_validate(fields)


def _problem(cause: dict[str, str]) -> Problem:
    # The one place of status codes needs the web framework, which a reindex has no use for.
    from service.api.problems import status_of

    kind = by_code(cause["code"])
    return Problem(
        type=PROBLEM_TYPE + cause["code"],
        title=kind.__name__,
        status=status_of(kind),
        detail=cause["detail"],
    )
