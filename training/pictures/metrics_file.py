"""Reading `metrics.jsonl`, whatever fields a run logged and however it ended.  No torch."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from lorgnette.errors import InvalidConfiguration


@dataclass(frozen=True)
class Series:
    """One field over the steps that have it: equal lengths, steps rising, all finite."""

    steps: tuple[float, ...]
    values: tuple[float, ...]


def read_metrics(path: Path) -> dict[str, Series]:
    """Each numeric field with its steps.

    A torn or foreign line is passed over, and so is a value that is not a finite number; of a step
    logged twice, before and after a resume, the later counts.  Raises `InvalidConfiguration` when
    the file cannot be read or no line has a step and a figure.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InvalidConfiguration(
            f"cannot read {path}: {error.strerror}: expected the metrics of a training, give the "
            "--out of `lorgnette train`"
        ) from error
    fields: dict[str, dict[float, float]] = {}
    for line in lines:
        record = _numbers(line)
        step = record.pop("step", None)
        if step is not None:
            for name, value in record.items():
                fields.setdefault(name, {})[step] = value
    if not fields:
        raise InvalidConfiguration(
            f"{path} holds no line with a step and a figure: the training has not begun, or this "
            "is another file"
        )
    return {name: _series(points) for name, points in fields.items()}


def _numbers(line: str) -> dict[str, float]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in record.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    }


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _series(points: dict[float, float]) -> Series:
    steps = tuple(sorted(points))
    return Series(steps, tuple(points[step] for step in steps))
