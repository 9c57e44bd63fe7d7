"""The long tasks of a gallery, in its data directory, whoever started them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from lorgnette.exit_codes import FAILED, INTERRUPTED
from service import defaults
from service.operating import Data, json_text, opened

if TYPE_CHECKING:
    from lorgnette.wire import Job
    from service.gallery.catalogue import Catalogue

LOOK_EVERY_S = 0.25

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.", show_default=False)]
Latest = Annotated[
    str | None, typer.Argument(metavar="JOB", help="The job's id.", show_default="the latest")
]


def list_jobs(*, data: Data = defaults.DATA) -> None:
    """List the latest jobs, newest first: id, state, stage, how far, and since when.

    \b
    Examples:
      lorgnette jobs list
      lorgnette jobs list --data /srv/gallery
    """
    from service import jobs

    with opened(data) as catalogue:
        for job in jobs.list_jobs(catalogue):
            typer.echo(
                f"{job.id}  {job.kind}  {job.state:11}  {job.stage:9}  {job.done}/{job.total}  "
                f"{job.created_at}"
            )


def show(job: Latest = None, *, data: Data = defaults.DATA) -> None:
    """Print one job as JSON: how far it is, and in the end its result or its problem.

    \b
    Examples:
      lorgnette jobs show
      lorgnette jobs show 0f3c… --data /srv/gallery
    """
    with opened(data) as catalogue:
        typer.echo(json_text(_chosen(catalogue, job).model_dump(), indent=2))


def cancel(job: JobId, *, data: Data = defaults.DATA) -> None:
    """Ask a job to stop. It does within a second or two; what it committed is kept.

    \b
    Examples:
      lorgnette jobs cancel 0f3c…
    """
    from service import jobs

    with opened(data) as catalogue:
        jobs.cancel_job(catalogue, job)
    typer.echo(f"job {job} was asked to stop: `lorgnette jobs resume {job}` goes on with it")


def resume(job: JobId, *, data: Data = defaults.DATA) -> None:
    """Go on with a job that was interrupted or cancelled, or failed, where it stopped.

    It works in a process of its own; `lorgnette jobs follow` shows how far it is.

    \b
    Examples:
      lorgnette jobs resume 0f3c…
    """
    from service import jobs

    with opened(data):
        jobs.resume_job(data, job)
    typer.echo(f"job {job} goes on: `lorgnette jobs follow {job}` shows how far it is")


def follow(job: Latest = None, *, data: Data = defaults.DATA) -> None:
    """Show a job's progress until it is over; exit with 0 only if it succeeded.

    Ctrl-C stops looking, not the job.

    \b
    Examples:
      lorgnette jobs follow
      lorgnette jobs follow 0f3c… && lorgnette generations
    """
    with opened(data) as catalogue:
        chosen = _chosen(catalogue, job)
        try:
            last = _watched(catalogue, chosen)
        except KeyboardInterrupt:
            typer.echo(f"job {chosen.id} goes on", err=True)
            raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"job {last.id}: {last.state}{_why(last)}")
    if last.state != "succeeded":
        raise typer.Exit(FAILED)


def _watched(catalogue: Catalogue, job: Job) -> Job:
    """Report a job's progress as the command that works does; the job when it is over."""
    from service import jobs
    from service.console import reporting
    from service.progress import Progress

    with reporting() as report:
        seen = ""
        while True:
            revision, job = jobs.revision_of(catalogue, job.id)
            if revision != seen:
                seen = revision
                report(Progress(job.stage, job.done, job.total, job.rate, job.eta_s))
            if job.state in jobs.FINAL:
                return job
            time.sleep(LOOK_EVERY_S)


def _why(job: Job) -> str:
    from lorgnette.text import visible

    return "" if job.error is None else f": {visible(job.error.detail)}"


def _chosen(catalogue: Catalogue, job_id: str | None) -> Job:
    """The job of that id, or the latest. Raises `NotFound`."""
    from lorgnette.errors import NotFound
    from service import jobs

    if job_id is not None:
        return jobs.get_job(catalogue, job_id)
    latest = jobs.list_jobs(catalogue)
    if not latest:
        raise NotFound("no job was ever started here: POST /admin/reindex starts one")
    return latest[0]
