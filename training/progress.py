"""Progress of long work, on stderr, with rate and time left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")


def track(items: Iterable[Item], *, total: int, task: str) -> Iterator[Item]:
    """Yield the items while a bar on stderr shows how many of `total` are done."""
    with progress_bar() as bar:
        number = bar.add_task(task, total=total)
        for item in items:
            yield item
            bar.advance(number)


def progress_bar() -> Progress:
    """An empty display on stderr, for work that begins in the middle or counts in batches."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
