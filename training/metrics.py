"""`metrics.jsonl`: one JSON object a line, in the order of the steps, also after a resume.

The lines of the steps have `loss`, `lr_factor`, `grad_norm`, `seconds`, `views_per_s`; those of a
validation have `val_map`, in [0, 1].  Both have `step` and `epoch`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lorgnette.errors import MissingExtra
from training.files import write_atomically, writing_to


class Board(Protocol):
    """What of `torch.utils.tensorboard.SummaryWriter` is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """One point of one curve."""

    def close(self) -> None:
        """Write what is buffered."""


METRICS_NAME = "metrics.jsonl"
BOARD_NAME = "tensorboard"


@dataclass(frozen=True)
class Log:
    """Where the measures go: a file, and the TensorBoard too if there is one."""

    path: Path
    board: Board | None

    def write(self, step: int, **fields: float) -> None:
        """Append one line; what is no number (a gradient that overflowed float16) is left out.

        Raises `DiskFull` or `InvalidConfiguration` when it cannot be written.
        """
        finite = {name: value for name, value in fields.items() if math.isfinite(value)}
        with writing_to(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | finite) + "\n")
        if self.board is not None:
            for tag, value in finite.items():
                self.board.add_scalar(tag, value, step)

    def close(self) -> None:
        """Write what is buffered."""
        if self.board is not None:
            self.board.close()


def open_log(out: Path, *, step: int, tensorboard: bool) -> Log:
    """The measures of a run that goes on at this step; what was logged from it on is dropped."""
    keep_lines_before(out / METRICS_NAME, step=step)
    board = open_board(out / BOARD_NAME, step=step) if tensorboard else None
    return Log(out / METRICS_NAME, board)


def open_board(directory: Path, *, step: int) -> Board:
    """Curves for TensorBoard, going on from this step.  Raises `MissingExtra` without it."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra(
            "running.tensorboard needs TensorBoard: pip install 'lorgnette-app[tensorboard]', or "
            "say tensorboard: false (metrics.jsonl has the same figures)"
        ) from error
    board: Board = SummaryWriter(str(directory), purge_step=step)
    return board


def keep_lines_before(path: Path, *, step: int) -> None:
    """Drop what was logged from this step on, and any torn last line: it will be done again."""
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if _step_of(line) < step]
    write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
