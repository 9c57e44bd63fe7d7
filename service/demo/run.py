"""The flow of `lorgnette demo`: gallery, index, service, three queries, contact sheet."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lorgnette import Bundle, Encoder
from lorgnette.errors import InvalidBundle, InvalidConfiguration, SpaceMismatch, Unreachable
from service.demo.asking import Asker, Reply
from service.demo.children import last_words, run_command, running_service
from service.demo.contact_sheet import Row, Tile, write_contact_sheet
from service.demo.galleries import Gallery, own_gallery, sample_gallery
from service.demo.report import Report, how_made
from service.listening import bind
from service.signals import handled

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Demo:
    """What the demo was asked for. photos: None is the sample gallery. port: 0 is any free one."""

    photos: Path | None
    data: Path
    teacher: Path
    student: Path
    port: int


@dataclass(frozen=True)
class _Asked:
    """The service that stays up, and what it answered."""

    url: str
    gallery: Gallery
    replies: tuple[Reply, ...]
    child: subprocess.Popen[bytes]


def check_demo(demo: Demo) -> int:
    """Run the demo once and stop. Returns 0 when every query found its photo first, else 1."""
    report = Report()
    with _stops_as_interrupts(), _failures_in(demo.data), _asked(demo, report) as asked:
        missed = sum(not reply.is_found for reply in asked.replies)
    return 1 if missed else 0


def show_demo(demo: Demo) -> int:
    """Run the demo and stay up until Ctrl-C, which is success."""
    report = Report()
    with _stops_as_interrupts(), _failures_in(demo.data):
        with _asked(demo, report) as asked:
            report.staying(asked.url, asked.gallery.queries[0].path, demo.student)
            _stay(asked)
        report.stopped()
    return 0


@contextmanager
def _asked(demo: Demo, report: Report) -> Iterator[_Asked]:
    """Everything up to the contact sheet; the service runs until the block is left."""
    teacher, encoder = _open_models(demo)
    port = _free_port(demo.port)
    gallery = _gallery(demo, report)
    index = ["index", str(gallery.photos), *_places(demo, gallery)]
    report.command(index)
    _index(index, report)
    url = f"http://{HOST}:{port}"
    serve = ["serve", *_places(demo, gallery), "--student", str(demo.student)]
    serve += ["--host", HOST, "--port", str(port)]
    report.command(serve)
    begun = time.monotonic()
    with running_service(serve, url=url, log=gallery.log) as child:
        report.ready(url, time.monotonic() - begun)
        report.models(teacher, encoder)
        replies = _ask(url, encoder, gallery, report)
        _write_sheet(gallery, replies, encoder)
        report.sheet(gallery.sheet)
        report.verdict(replies)
        yield _Asked(url, gallery, replies, child)


def _open_models(demo: Demo) -> tuple[Bundle, Encoder]:
    teacher, student = Bundle.open(demo.teacher), Bundle.open(demo.student)
    for bundle, role in ((teacher, "gallery"), (student, "query")):
        if bundle.manifest.role != role:
            raise InvalidBundle(
                f"{bundle.directory} is a {bundle.manifest.role} bundle, expected a {role} one: "
                "perhaps --teacher and --student are exchanged"
            )
    if teacher.space != student.space:
        raise SpaceMismatch(
            f"the teacher {demo.teacher} speaks space {teacher.space.id!r}, the student "
            f"{demo.student} {student.space.id!r}: export the student again from this teacher",
            expected=(teacher.space.id,),
            found=student.space.id,
        )
    return teacher, Encoder(student)


def _free_port(wanted: int) -> int:
    """The port the service will take, checked before the long work begins."""
    with bind(HOST, wanted) as bound:
        port: int = bound.getsockname()[1]
        return port


def _gallery(demo: Demo, report: Report) -> Gallery:
    if demo.photos is not None:
        gallery = own_gallery(demo.photos, demo.data)
        report.own_gallery(gallery.photos, len(gallery.queries))
        return gallery
    with report.making_pictures() as on_picture:
        gallery = sample_gallery(demo.data, on_picture=on_picture)
    report.sample_gallery(gallery.photos)
    return gallery


def _index(command: list[str], report: Report) -> None:
    try:
        code = run_command(command)
    except KeyboardInterrupt:
        report.interrupted()
        raise
    if code:
        # The indexer has said why.
        raise SystemExit(code)


def _places(demo: Demo, gallery: Gallery) -> list[str]:
    return ["--data", str(gallery.index), "--teacher", str(demo.teacher)]


def _ask(url: str, encoder: Encoder, gallery: Gallery, report: Report) -> tuple[Reply, ...]:
    replies: list[Reply] = []
    with closing(Asker(url, encoder)) as asker:
        for query in gallery.queries:
            replies.append(asker.ask(query))
            report.reply(replies[-1])
    return tuple(replies)


def _write_sheet(gallery: Gallery, replies: tuple[Reply, ...], encoder: Encoder) -> None:
    rows = [
        Row(
            query=reply.query.path,
            name=reply.query.photo,
            note="generated view",
            tiles=tuple(
                Tile(gallery.photos / hit.id, hit.id, hit.score, reply.query.is_match(hit.id))
                for hit in reply.hits
            ),
        )
        for reply in replies
    ]
    write_contact_sheet(
        gallery.sheet,
        rows,
        title="lorgnette: query at the left, what it found at the right",
        subtitle=f"each query is a {how_made(replies[0].query)}; "
        f"embedded by {encoder.bundle.manifest.name}; "
        "green = the query's own photo",
    )


def _stay(asked: _Asked) -> None:
    """Wait for Ctrl-C. Raises `Unreachable` when the service ends by itself."""
    try:
        code = asked.child.wait()
    except KeyboardInterrupt:
        return
    raise Unreachable(
        f"the service ended by itself (exit code {code}): {last_words(asked.gallery.log)}; "
        f"its log is {asked.gallery.log}"
    )


@contextmanager
def _failures_in(data: Path) -> Iterator[None]:
    """Turn a disk that refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise InvalidConfiguration(
            f"cannot write the demo's files in {data} ({error}): "
            "free some space, or name another folder with --data"
        ) from error


@contextmanager
def _stops_as_interrupts() -> Iterator[None]:
    """Treat SIGTERM and a closed terminal as Ctrl-C, so that no child outlives the demo."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with handled((signal.SIGTERM, signal.SIGHUP), interrupt):
        yield
