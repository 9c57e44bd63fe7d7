"""`lorgnette edge`: a box that watches a folder or a camera, and writes what it recognises."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorgnette._output import STUDENT, Key, StudentBundle
from lorgnette._search_verb import Hits, Server
from lorgnette.errors import InvalidConfiguration

if TYPE_CHECKING:
    from lorgnette.edge.eyes import Eyes
    from lorgnette.edge.station import Station

_LONGEST_PAUSE_S = 60.0


def edge(
    *,
    watch: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder that photographs arrive in.")
    ] = None,
    camera: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="The N-th camera (OpenCV).")
    ] = None,
    server: Server = "http://127.0.0.1:8080",
    bundle: StudentBundle = STUDENT,
    out: Annotated[Path, typer.Option(help="JSON lines are appended here.")] = Path("edge.jsonl"),
    state: Annotated[
        Path, typer.Option(help="What it must remember: photographs done, vectors waiting.")
    ] = Path("edge.sqlite"),
    k: Hits = 10,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 1.0,
    most: Annotated[int, typer.Option(min=1, help="Vectors kept while offline.")] = 10_000,
    ttl_hours: Annotated[float, typer.Option(min=0.0, help="So long are they kept.")] = 72.0,
    once: Annotated[bool, typer.Option("--once", help="Take what is there, then end.")] = False,
    key: Key = None,
) -> None:
    """Embed each new photograph here, search, and append what was found.

    Each photograph is taken once, whatever its name, and has one line, also
    after a power cut. While the server is away vectors wait here, never
    photographs: so many, so long; they are dropped when the student changes its
    space. With --once the exit code is 1 when some still wait. It keeps the
    student it began with: for a newer one, `lorgnette pull` and start it again.

    \b
    Examples:
      lorgnette edge --watch incoming/
      lorgnette edge --camera 0 --every 5 --server https://photos.example
    """
    from lorgnette.bundle import Bundle
    from lorgnette.client import Client
    from lorgnette.edge.diary import Diary
    from lorgnette.edge.station import Limits, Station
    from lorgnette.encoder import Encoder

    eyes = _eyes(watch, camera, once=once)
    encoder = Encoder(Bundle.open(bundle))
    limits = Limits(k=k, most=most, ttl_s=ttl_hours * 3600)
    diary = Diary(state, lines=out)
    with Client(server, key=key, max_retries=0) as client:
        station = Station(eyes, encoder, client, diary, limits)
        if once:
            while station.look():
                station.ask()
            if not station.ask():
                raise typer.Exit(1)
        else:
            _watch(station, every)


def _eyes(watch: Path | None, camera: int | None, *, once: bool) -> Eyes:
    from lorgnette.edge.eyes import Camera, Folder

    if watch is not None and camera is None:
        return Folder(watch, settles=not once)
    if camera is not None and watch is None:
        return Camera(camera)
    raise InvalidConfiguration("watch what? name one of --watch DIR and --camera N")


def _watch(station: Station, every_s: float) -> None:
    """Look every time, ask more rarely while the server is away."""
    pause_s, due_s = every_s, 0.0
    while True:
        has_more = station.look()
        if time.monotonic() >= due_s:
            has_asked_all = station.ask()
            longest_s = max(every_s, _LONGEST_PAUSE_S)
            pause_s = every_s if has_asked_all else min(2 * pause_s, longest_s)
            due_s = time.monotonic() + pause_s if not has_asked_all else 0.0
        if not has_more:
            time.sleep(every_s)
