"""`metrics.jsonl`: one JSON object a line, in the order of the steps, also after a resume."""

from __future__ import annotations

import json
from pathlib import Path

from training.files import write_atomically, writing_to


def keep_lines_before(path: Path, *, step: int) -> None:
    """Drop what was logged from this step on, and any torn last line: it will be done again."""
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if _step_of(line) < step]
    write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def log_line(path: Path, **fields: float | str) -> None:
    """Append one line. Raises `DiskFull` or `InvalidConfiguration` when it cannot be written."""
    with writing_to(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(fields) + "\n")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
