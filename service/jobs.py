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
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from lorgnette.bundle import read_manifest
from lorgnette.error_codes import by_code
from lorgnette.errors import Conflict, LorgnetteError, NotFound
from lorgnette.text import quoted
from lorgnette.wire import PROBLEM_TYPE, Job, Problem
from service.gallery import answers, footprint
from service.gallery.answers import Token
from service.gallery.catalogue import CATALOGUE_NAME, Catalogue
from service.gallery.files import disk_errors, is_unlocked, refuse_if_writing
from service.gallery.statements import now
from service.reindex_plan import ReindexPlan

JOBS_NAME = "jobs"

_LISTED = 100
_ENDING_S = 10.0
_COLUMNS = (
    "id, kind, state, stage, done, total, rate, eta_s, created_at, heartbeat_at, result, error"
)
_UNFINISHED = ("queued", "running")
FINAL = frozenset({"succeeded", "failed", "cancelled", "interrupted"})
"""States a job does not leave by itself."""
_RESUMABLE = ("interrupted", "cancelled", "failed")


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
        raise NotFound(
            f"there is no job {quoted(job_id)}: `lorgnette jobs list` or GET /admin/jobs lists "
            "what there is"
        )
    return _job(row, is_alive=is_alive)


def list_jobs(catalogue: Catalogue) -> list[Job]:
    """The latest jobs, newest first, at most 100."""
    with catalogue.reading() as connection:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM jobs"  # noqa: S608 - constants
            f" ORDER BY created_at DESC, rowid DESC LIMIT {_LISTED}"
        ).fetchall()
    jobs = [_job(row, is_alive=True) for row in rows]
    # Only of an unfinished one is the process looked at, and there is hardly more than one.
    return [get_job(catalogue, job.id) if job.state in _UNFINISHED else job for job in jobs]


def start_reindex(data: Path, plan: ReindexPlan, *, token: Token | None = None) -> Job:
    """Start `lorgnette reindex` in a process of its own, which outlives this one.

    A request that was answered before is answered with its job. Raises `Conflict` naming the job
    that runs, `GalleryBusy` while somebody else is indexing, `InvalidRequest` for a token used
    otherwise, `DiskFull` and `NotEnoughMemory` with the figures when it would not fit.
    """
    with closing(Catalogue.open(data)) as catalogue:
        with catalogue.reading() as connection:
            known = answers.recall(connection, token)
        if known is not None:
            return get_job(catalogue, known)
        refuse_if_writing(data)
        space, process = read_manifest(plan.teacher).space, footprint.PROCESS_BYTES
        footprint.check(catalogue, data, space, factory=plan.factory, process=process)
        job_id = uuid.uuid4().hex
        with _liveness(data / JOBS_NAME, job_id) as lock:
            with catalogue.writing() as connection:
                known = answers.recall(connection, token)
                if known is None:
                    _insert(connection, data / JOBS_NAME, job_id, plan=plan)
                    answers.remember(connection, token, job_id)
            if known is not None:
                (data / JOBS_NAME / f"{job_id}.lock").unlink()
                return get_job(catalogue, known)
            _spawn(data, job_id, plan, keep_open=lock)
            return get_job(catalogue, job_id)


def resume_job(data: Path, job_id: str) -> Job:
    """Start the process of a job again that ended without success; committed work is not redone.

    Raises `NotFound`, `Conflict` for one that runs or succeeded, and as `start_reindex`.
    """
    with closing(Catalogue.open(data)) as catalogue:
        job = get_job(catalogue, job_id)
        if job.state not in _RESUMABLE:
            raise Conflict(f"job {job_id} {_is(job)}: there is nothing to resume")
        refuse_if_writing(data)
        with _liveness(data / JOBS_NAME, job_id) as lock, catalogue.writing() as connection:
            _refuse_second(connection, data / JOBS_NAME, but=job_id)
            (request,) = connection.execute(
                "SELECT request FROM jobs WHERE id = ?", (job_id,)
            ).fetchone()
            connection.execute(
                "UPDATE jobs SET state = 'queued', stage = 'queued', is_cancelled = 0,"
                " error = NULL, revision = revision + 1 WHERE id = ?",
                (job_id,),
            )
            _spawn(data, job_id, ReindexPlan.from_json(request), keep_open=lock)
        return get_job(catalogue, job_id)


def cancel_job(catalogue: Catalogue, job_id: str) -> Job:
    """Ask a job to stop; it does within a second or two, and what it committed is kept.

    Raises `NotFound`, and `Conflict` for one that is over.
    """
    job = get_job(catalogue, job_id)
    if job.state not in _UNFINISHED:
        raise Conflict(f"job {job_id} {_is(job)}: there is nothing to cancel")
    with catalogue.writing() as connection:
        connection.execute("UPDATE jobs SET is_cancelled = 1 WHERE id = ?", (job_id,))
    return get_job(catalogue, job_id)


def revision_of(catalogue: Catalogue, job_id: str) -> tuple[str, Job]:
    """A job, and an opaque name of what is known about it that changes whenever that does."""
    job = get_job(catalogue, job_id)
    with catalogue.reading() as connection:
        (revision,) = connection.execute(
            "SELECT revision FROM jobs WHERE id = ?", (job_id,)
        ).fetchone()
    return f"{revision}-{job.state}", job


def _is(job: Job) -> str:
    return job.state if job.state in ("failed", "succeeded") else f"is {job.state}"


@contextmanager
def _liveness(folder: Path, job_id: str) -> Iterator[BinaryIO]:
    """The job's lock file, locked: by us for now, by its process once that has inherited it."""
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
        file = (folder / f"{job_id}.lock").open("ab")
    with file:
        _lock(file, job_id)
        yield file


def _lock(file: BinaryIO, job_id: str) -> None:
    """Lock it, waiting for a process that has said its last word and is about to end."""
    deadline = time.monotonic() + _ENDING_S
    while True:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Conflict(f"the process of job {job_id} still runs: try again") from None
            time.sleep(0.02)
        else:
            return


def _insert(
    connection: sqlite3.Connection, folder: Path, job_id: str, *, plan: ReindexPlan
) -> None:
    """Add the row, unless another has a living process."""
    _refuse_second(connection, folder, but=job_id)
    moment = now()
    connection.execute(
        f"INSERT INTO jobs ({_COLUMNS}, request) VALUES"  # noqa: S608 - a constant
        " (?, 'reindex', 'queued', 'queued', 0, 0, NULL, NULL, ?, ?, NULL, NULL, ?)",
        (job_id, moment, moment, plan.to_json()),
    )


def _refuse_second(connection: sqlite3.Connection, folder: Path, *, but: str) -> None:
    """Raise `Conflict` while another job has a living process; of one that died, say so."""
    for other, kind, state in connection.execute(
        "SELECT id, kind, state FROM jobs WHERE state IN (?, ?) AND id != ?", (*_UNFINISHED, but)
    ).fetchall():
        if _is_alive(folder, other):
            raise Conflict(f"{kind} {other} is {state}: wait for it, then start another")
        connection.execute(
            "UPDATE jobs SET state = 'interrupted', revision = revision + 1 WHERE id = ?", (other,)
        )


def _spawn(data: Path, job_id: str, plan: ReindexPlan, *, keep_open: BinaryIO) -> None:
    """Start the job's process in its own session. It holds the lock file open, and so locked."""
    command = [sys.executable, "-m", "lorgnette", "reindex", "--job", job_id]
    command += ["--data", str(data.resolve()), "--teacher", str(plan.teacher.resolve())]
    command += ["--recall-gate", str(plan.recall_gate)]
    command += ["--factory", plan.factory] if plan.factory is not None else []
    for student in plan.students:
        command += ["--student", str(student.resolve())]
    log = data / JOBS_NAME / f"{job_id}.log"
    with disk_errors(log.parent), log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(keep_open.fileno(),),
        )
    reap = threading.Thread(target=_reap, args=(process, data, job_id), daemon=True)
    reap.start()


def _reap(process: subprocess.Popen[bytes], data: Path, job_id: str) -> None:
    """Wait for its end. One that a signal ended could not say so: this does."""
    number = -process.wait()
    if number <= 0 or not (data / CATALOGUE_NAME).is_file():
        return
    detail = f"signal {number} ended the job's process; did memory run out? What it did is kept"
    cause = json.dumps({"code": LorgnetteError.code, "detail": f"{detail}: resume the job"})
    with suppress(LorgnetteError), closing(Catalogue.open(data)) as open_, open_.writing() as sql:
        if not _is_alive(data / JOBS_NAME, job_id):  # it may have been resumed
            sql.execute(
                "UPDATE jobs SET state = 'interrupted', error = ?, revision = revision + 1"
                " WHERE id = ? AND state IN (?, ?)",
                (cause, job_id, *_UNFINISHED),
            )


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
