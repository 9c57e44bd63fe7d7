"""What the indexing commands say: a moving bar on a terminal, plain lines elsewhere.

Progress and warnings go to standard error, the one line of result to standard output.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from lorgnette.text import visible
from service.gallery.build import Summary
from service.gallery.scan import Skipped
from service.progress import Progress, Report

_LINE_EVERY_S = 5.0
_NAMED = 20


@contextmanager
def reporting() -> Iterator[Report]:
    """Show progress on standard error while the block runs."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        yield _Moving(bar)


class _Moving:
    """One bar a stage."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        total = progress.total or None
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bar.add_task(progress.stage, total=total, rate="")
        self._bar.update(
            self._tasks[progress.stage], completed=progress.done, total=total, rate=_rate(progress)
        )


class _Lines:
    """A line when a stage begins and ends, and every few seconds between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_at = 0.0

    def __call__(self, progress: Progress) -> None:
        is_end = progress.done in (0, progress.total)
        if not is_end and time.monotonic() - self._said_at < _LINE_EVERY_S:
            return
        self._said_at = time.monotonic()
        words = [progress.stage]
        if progress.total:
            words += [f"{progress.done}/{progress.total} photographs", _rate(progress)]
        if progress.eta_s:
            words.append(f"{progress.eta_s:.0f} s left")
        self._console.print(" ".join(word for word in words if word), markup=False)


def _rate(progress: Progress) -> str:
    return "" if progress.rate is None else f"{progress.rate:.1f}/s"


def tell(summary: Summary) -> None:
    """Say what a run did: warnings to standard error, then one line to standard output."""
    tell_skipped(summary.skipped)
    Console(highlight=False, soft_wrap=True, markup=False).print(_sentence(summary))


def tell_skipped(skipped: Sequence[Skipped]) -> None:
    """Name what was left out, to standard error; of very many the first ones."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    for entry in skipped[:_NAMED]:
        errors.print(f"skipped {visible(entry.name)}: {visible(entry.reason)}")
    if len(skipped) > _NAMED:
        errors.print(f"… and {len(skipped) - _NAMED} more")


def _sentence(summary: Summary) -> str:
    live = summary.live
    state = "published" if summary.is_new_generation else "still live"
    return (
        f"{summary.embedded} embedded, {summary.unchanged} unchanged, {len(summary.skipped)} "
        f"skipped; generation {live.generation} {state}: {live.count} photographs in space "
        f"{live.space.id} ({live.factory}, recall@10 {live.recall_at_10:.3f})"
    )
