"""The service's verbs of the `lorgnette` command. Heavy imports wait until a verb is called."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from lorgnette.exit_codes import INTERRUPTED
from service import defaults
from service.alignment_cli import Aligned
from service.memory import loading
from service.operating import Data

if TYPE_CHECKING:
    from service.settings import Settings

Teacher = Annotated[
    Path,
    typer.Option(help="Gallery bundle that embeds the photographs.", envvar="LORGNETTE_TEACHER"),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Photographs embedded at once.", show_default="one a core"),
]
Factory = Annotated[
    str | None,
    typer.Option(
        help='"auto" (by size), or a FAISS factory string: "Flat" (exact), "SQ8".',
        show_default="that of the live index, else auto",
    ),
]
RecallGate = Annotated[
    float,
    typer.Option(min=0, max=1, help="Publish only if recall@10 against exact search reaches it."),
]
Students = Annotated[
    list[Path] | None,
    typer.Option(
        help="Query bundle to hand out and to encode photographs with; may be repeated.",
        metavar="<path>",
        show_default=str(defaults.STUDENT),
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        help="Address to listen on; beyond this machine only with both keys.",
        show_default=defaults.HOST,
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="Port; 0 takes a free one.", show_default=str(defaults.PORT)
    ),
]

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes that answer, sharing one index in memory.", show_default="1"
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(
        help="Built web page to show at /.", metavar="<path>", show_default=str(defaults.PAGE)
    ),
]


def index(
    folder: Annotated[Path, typer.Argument(help="Folder of photographs.", show_default=False)],
    *,
    data: Data = defaults.DATA,
    teacher: Teacher = defaults.TEACHER,
    prefix: Annotated[
        str, typer.Option(help="Put before every id, to keep folders apart.", show_default=False)
    ] = "",
    embedded: Annotated[
        Path | None,
        typer.Option(help="Take the vectors `lorgnette embed` wrote there.", show_default=False),
    ] = None,
    threads: Threads = None,
    factory: Factory = None,
    recall_gate: RecallGate = defaults.RECALL_GATE,
    student: Aligned = None,
) -> None:
    """Embed a folder of photographs and make them searchable.

    Subfolders are included. Only new and changed photographs are read; after
    Ctrl-C or a crash the same command goes on where it stopped. Broken
    photographs are skipped and named.

    \b
    Examples:
      lorgnette index ~/Pictures
      lorgnette index /mnt/archive --prefix archive --data /srv/gallery
      lorgnette index /mnt/archive --embedded /mnt/vectors
    """
    settle_libraries()
    from service.alignment_cli import align_after_indexing
    from service.console import reporting, tell
    from service.gallery.build import Options, index_folder

    with interruptible(), reporting() as report:
        options = Options(
            threads=threads or cores_here(), factory=factory, recall_gate=recall_gate, report=report
        )
        summary = index_folder(
            folder, data, teacher, prefix=prefix, embedded=embedded, options=options
        )
    tell(summary)
    with interruptible():
        align_after_indexing(data, student, threads=options.threads)


def reindex(
    *,
    data: Data = defaults.DATA,
    teacher: Teacher = defaults.TEACHER,
    threads: Threads = None,
    factory: Factory = None,
    recall_gate: RecallGate = defaults.RECALL_GATE,
    student: Aligned = None,
    job: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Build the index anew, embedding what a new teacher's space lacks.

    Photographs are read again from where they were indexed. Searches go on
    meanwhile, and the spaces of other teachers stay live. After Ctrl-C or a
    crash the same command goes on.

    \b
    Examples:
      lorgnette reindex --teacher models/teacher-2
      lorgnette reindex --factory HNSW32 --recall-gate 0.98
    """
    settle_libraries()
    from service.alignment_cli import align_after_indexing
    from service.console import reporting, tell
    from service.gallery.build import Options
    from service.gallery.build import reindex as build_again
    from service.job_process import reindex_as_job

    with interruptible(), reporting() as report:
        options = Options(
            threads=threads or cores_here(), factory=factory, recall_gate=recall_gate, report=report
        )
        if job is None:
            summary = build_again(data, teacher, options=options)
        else:
            summary = reindex_as_job(
                data, teacher, students=student or (), options=options, job_id=job
            )
    tell(summary)
    if job is None:
        with interruptible():
            align_after_indexing(data, student, threads=options.threads)


def serve(
    *,
    data: Data = defaults.DATA,
    teacher: Teacher = defaults.TEACHER,
    student: Students = None,
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    page: Page = None,
    print_settings: Annotated[
        bool,
        typer.Option("--print-settings", help="Print every setting, keys hidden, and exit."),
    ] = False,
) -> None:
    """Answer searches over HTTP, until Ctrl-C.

    Every option may be set as a LORGNETTE_* variable; the keys only so, or as files in
    /run/secrets: LORGNETTE_SEARCH_KEY opens the search, LORGNETTE_ADMIN_KEY everything.

    \b
    Examples:
      lorgnette serve
      lorgnette serve --data /srv/gallery --port 9000
      lorgnette serve --student models/phone --student models/web
      LORGNETTE_SEARCH_KEY=... LORGNETTE_ADMIN_KEY=... lorgnette serve --host 0.0.0.0
    """
    settle_libraries()
    with loading() as loaded:
        from service.settings import load_settings

        settings = load_settings(
            data=data,
            teacher=teacher,
            students=tuple(student) if student else None,
            host=host,
            port=port,
            workers=workers,
            page=page,
        )
        if print_settings:
            typer.echo(settings.model_dump_json(indent=2))
        else:
            _serve(settings, loaded=loaded)


def _serve(settings: Settings, *, loaded: Callable[[], None]) -> None:
    from service.telemetry import configure_logging

    configure_logging()

    def on_ready(url: str) -> None:
        loaded()
        typer.echo(f"lorgnette answers at {url} (Ctrl-C stops it)")

    if settings.workers > 1:
        from service.workers import run_workers

        run_workers(settings, on_ready=on_ready)
    else:
        from service.app import create_app
        from service.server import run

        run(create_app(settings), settings, on_ready=on_ready)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C ends the verb with one line and its exit code, and no traceback."""
    _heed_one_interrupt()
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped; what was done is kept: run the same command again to go on", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _heed_one_interrupt() -> None:
    """Ignore Ctrl-C from the first on: another would cut the clean-up, and abort the process."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)


def settle_libraries() -> None:
    """Before the heavy imports: one thread a search, and no remarks between our own lines."""
    # FAISS reads this when it is imported; its own setter affects only the calling thread.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # What Pillow thinks of a broken EXIF block changes nothing; what it cannot read, it raises.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def cores_here() -> int:
    """The cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
