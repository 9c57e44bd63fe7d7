"""The process of a job: it works, tells its row how it goes, and stops when it is asked to."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from lorgnette.errors import LorgnetteError, NotEnoughMemory
from lorgnette.wire import JobState
from service.gallery import aligning
from service.gallery.build import Options, Summary, reindex
from service.gallery.catalogue import Catalogue
from service.gallery.statements import now
from service.jobs import JOBS_NAME
from service.progress import Progress

_HEARTBEAT_S = 0.5
_LOOK_EVERY_S = 0.25
_RESERVED_BYTES = 256 * 1024
"""Enough for the pages of one transaction in SQLite's log, many times over."""


def reindex_as_job(
    data: Path, teacher: Path, *, students: Sequence[Path], options: Options, job_id: str
) -> Summary:
    """Reindex as the process of a job: its row tells how it goes and what came of it.

    students: bundles to align with the gallery afterwards, as far as they fit.

    Raises what `reindex` raises, after storing it.
    """
    with closing(Catalogue.open(data)) as catalogue, reserve(data, job_id) as reserved:
        reporter = JobReporter(catalogue, job_id, reserved=reserved)
        watch = CancelWatch(catalogue, job_id)

        def report(progress: Progress) -> None:
            reporter.progress(progress)
            options.report(progress)

        with _failure_told(reporter, watch), watch:
            summary = reindex(data, teacher, options=replace(options, report=report))
            how = aligning.Options(threads=options.threads, report=report)
            learned = aligning.align_fitting(catalogue, data, students, options=how)
        reporter.succeeded(_result(summary) | {"aligned": list(learned)})
    return summary


@contextmanager
def _failure_told(reporter: JobReporter, watch: CancelWatch) -> Iterator[None]:
    """Store why the work ended early, and raise it."""
    try:
        yield
    except LorgnetteError as error:
        reporter.failed(error)
        raise
    except MemoryError as error:
        short = NotEnoughMemory(_short_of_memory(error))
        reporter.failed(short)
        raise short from error
    except KeyboardInterrupt:
        reporter.stopped("cancelled" if watch.is_cancelled else "interrupted")
        raise
    except Exception as error:
        reporter.failed(LorgnetteError(f"{type(error).__name__}: {error}; see the job's log"))
        raise


@contextmanager
def reserve(data: Path, job_id: str) -> Iterator[Path]:
    """Room on the disk that is kept free, so that a job can still say that it is full.

    Yields the file to remove before the last word. On a disk that is full by now there is none.
    """
    path = data / JOBS_NAME / f"{job_id}.reserve"
    for left_behind in path.parent.glob("*.reserve"):
        left_behind.unlink(missing_ok=True)
    try:
        with suppress(OSError), path.open("wb") as file:
            file.write(bytes(_RESERVED_BYTES))
        yield path
    finally:
        path.unlink(missing_ok=True)


class JobReporter:
    """The process of a job telling the catalogue how it goes."""

    def __init__(self, catalogue: Catalogue, job_id: str, *, reserved: Path) -> None:
        self._catalogue = catalogue
        self._reserved = reserved
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
                " eta_s = ?, heartbeat_at = ?, revision = revision + 1 WHERE id = ?",
                (*fields, now(), self._job_id),
            )

    def succeeded(self, result: dict[str, JsonValue]) -> None:
        """Store what came of it."""
        self._finish("succeeded", result=json.dumps(result), error=None)

    def failed(self, error: LorgnetteError) -> None:
        """Store why nothing came of it."""
        cause = {"code": error.code, "detail": str(error)}
        self._finish("failed", result=None, error=json.dumps(cause))

    def stopped(self, state: JobState) -> None:
        """Store that somebody stopped it; what it committed is kept."""
        self._finish(state, result=None, error=None)

    def _finish(self, state: JobState, *, result: str | None, error: str | None) -> None:
        self._reserved.unlink(missing_ok=True)
        with self._catalogue.writing() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, stage = ?, eta_s = NULL, heartbeat_at = ?, result = ?,"
                " error = ?, revision = revision + 1 WHERE id = ?",
                (state, state, now(), result, error, self._job_id),
            )


class CancelWatch:
    """A thread that looks whether somebody asked the job to stop, and then interrupts the work.

    As Ctrl-C would: FAISS heeds it too, which knows nothing of our progress. So the process heeds
    SIGINT while it is watched, also one that was started by something that ignored it.
    """

    def __init__(self, catalogue: Catalogue, job_id: str) -> None:
        self._catalogue = catalogue
        self._job_id = job_id
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cancel-watch", daemon=True)
        self.is_cancelled = False

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            with self._catalogue.reading() as connection:
                found = connection.execute(
                    "SELECT is_cancelled FROM jobs WHERE id = ?", (self._job_id,)
                ).fetchone()
            if found is not None and found[0] and not self._over.is_set():
                self.is_cancelled = True
                main = threading.main_thread().ident
                assert main is not None
                signal.pthread_kill(main, signal.SIGINT)
                return


def _short_of_memory(error: MemoryError) -> str:
    words = f" ({error})" if str(error) else ""
    return (
        f"the memory ran out{words}: the live index and everything acknowledged are untouched; "
        'choose a smaller factory such as "SQ8", or free some, and resume the job'
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
