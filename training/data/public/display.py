"""A bar for each file on its way, on stderr, with its rate and the time left."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class Bars:
    """A `Report` that draws.  Use it as a context manager."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, task: str, done: int, *, total: int | None) -> None:
        """Move the bar of a task; what an earlier run had done does not count as speed."""
        if task not in self._tasks:
            for finished in self._tasks.values():
                self._progress.stop_task(finished)
            self._tasks[task] = self._progress.add_task(task, total=total, completed=done)
        self._progress.update(self._tasks[task], completed=done, total=total)
