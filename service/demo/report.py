"""What the demo says in the terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from lorgnette import Bundle, Encoder
from service import defaults
from service.demo.asking import Reply
from service.demo.photographs import PHOTOGRAPHS, VIEWS, gallery_size
from service.demo.queries import Query


def how_made(query: Query) -> str:
    """How the query's picture came to be, in a few words."""
    return f"generated view: {', '.join(query.kinds)}"


class Report:
    """Results go to standard output, progress to standard error."""

    def __init__(self) -> None:
        self._out = Console(highlight=False, soft_wrap=True)
        self._err = Console(stderr=True)

    @contextmanager
    def making_pictures(self) -> Iterator[Callable[[], None]]:
        """A progress bar over the sample gallery's pictures; call what is yielded after each."""
        columns = (TextColumn("making the sample gallery"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self._err, transient=True) as progress:
            task = progress.add_task("pictures", total=gallery_size())
            yield lambda: progress.advance(task)

    def sample_gallery(self, photos: Path) -> None:
        """Say what the sample gallery is."""
        self._say(
            f"[bold]Sample gallery[/]: {len(PHOTOGRAPHS)} real photographs that come with "
            f"scikit-image, each also in {len(VIEWS)} generated views (crop, perspective, "
            f"rotation, light): {gallery_size()} pictures in {escape(str(photos))}"
        )

    def own_gallery(self, photos: Path, queries: int) -> None:
        """Say which folder is searched."""
        asked = "one of its photos" if queries == 1 else f"{queries} of its photos"
        self._say(
            f"[bold]Your photos[/]: {escape(str(photos))}; "
            f"the queries are generated views of {asked}"
        )

    def command(self, arguments: Sequence[str]) -> None:
        """Show a command as the user would type it."""
        self._out.print(Text(f"$ {shlex.join([_program(), *arguments])}", style="dim"))

    def ready(self, url: str, seconds: float) -> None:
        """Say that the service answers."""
        self._say(f"The service answers at [bold]{url}[/] after {seconds:.1f} s")

    def models(self, teacher: Bundle, encoder: Encoder) -> None:
        """Say who embedded what."""
        student = encoder.bundle
        size_mb = student.file(encoder.variant).stat().st_size / 1e6
        self._say(
            f"The gallery was embedded by [bold]{teacher.manifest.name}[/]; each query is embedded "
            f"here by [bold]{student.manifest.name}[/] ({encoder.variant}, {size_mb:.1f} MB). "
            "Only its vector is sent."
        )

    def reply(self, reply: Reply) -> None:
        """Print the ranked results of one query and where the time went."""
        query = reply.query
        found = ("found", "green") if reply.is_found else ("not found", "red")
        self._say("")
        self._out.print(
            Text.assemble(("Query ", "bold"), query.photo, f" ({how_made(query)}): ", found)
        )
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("rank", justify="right")
        table.add_column("score", justify="right")
        table.add_column("picture", overflow="fold")
        table.add_column()
        for rank, hit in enumerate(reply.hits, start=1):
            own = "own photo" if query.is_match(hit.id) else ""
            table.add_row(str(rank), f"{hit.score:.3f}", Text(hit.id), Text(own, style="green"))
        self._out.print(table)
        self._say(
            f"encode {reply.encode_ms:.1f} ms here, search {reply.search_ms:.1f} ms there and back "
            f"({reply.server_ms:.1f} ms in the service); sent {reply.sent_bytes:,} bytes, "
            f"not the photo's {query.path.stat().st_size:,}"
        )

    def sheet(self, path: Path) -> None:
        """Say where the contact sheet is."""
        self._say("")
        self._say(f"[bold]Contact sheet[/]: {escape(str(path))}")

    def verdict(self, replies: Sequence[Reply]) -> None:
        """Say how many queries found their photo first."""
        missed = [reply.query.photo for reply in replies if not reply.is_found]
        self._out.print(
            f"{len(replies) - len(missed)} of {len(replies)} queries found their photo first"
            + (f"; not found: {', '.join(missed)}" if missed else "")
        )

    def staying(self, url: str, photo: Path, student: Path) -> None:
        """Say that the service stays up, and what to try from another terminal."""
        self._say("")
        self._say(f"The service stays at [bold]{url}[/] until Ctrl-C; API: {url}/openapi.json")
        if (defaults.PAGE / defaults.PAGE_INDEX).is_file():
            self._say(f"Search with your own photograph: open [bold]{url}[/] in a browser")
        else:
            self._say("Its web page is not built: that needs Node 20.12 or newer, then `make page`")
        self.command(["search", str(photo), "--server", url, "--bundle", str(student)])

    def interrupted(self) -> None:
        """Say that nothing is lost."""
        self._err.print("stopped; what was indexed is kept: run the same command again to go on")

    def stopped(self) -> None:
        """Say goodbye."""
        self._say("The service has stopped. The same command starts it again at once.")

    def _say(self, markup: str) -> None:
        self._out.print(markup)


def _program() -> str:
    """How this installation's `lorgnette` is typed here: its name, or its path when not on PATH."""
    program = Path(sys.executable).with_name("lorgnette")
    if shutil.which("lorgnette") == str(program):
        return "lorgnette"
    return os.path.relpath(program)
