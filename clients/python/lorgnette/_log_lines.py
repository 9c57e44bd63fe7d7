"""Warnings as a person reads them: the event and its fields, which plain `logging` leaves out."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from lorgnette.text import visible


class Lines(logging.Formatter):
    """`lorgnette: kept for later (waiting: 3; why: no answer …)`, then a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        said = "; ".join(f"{name}: {value}" for name, value in given(record).items())
        line = visible(f"lorgnette: {record.getMessage()}" + (f" ({said})" if said else ""))
        trace = "" if record.exc_info is None else "\n" + self.formatException(record.exc_info)
        return line + trace


def given(record: logging.LogRecord) -> dict[str, object]:
    """What the event itself says: `extra`, without the fields that every record has."""
    common = _common(logging.getLogRecordFactory())
    return {name: value for name, value in vars(record).items() if name not in common}


@functools.cache
def _common(factory: Callable[..., logging.LogRecord]) -> frozenset[str]:
    """Asked of the factory in use: a library may have set one that adds fields, as Ray does."""
    plain = factory("", logging.NOTSET, "", 0, "", (), None)
    return frozenset(vars(plain)) | {"message", "asctime"}


def show_warnings() -> None:
    """Write warnings to stderr, unless somebody has said where they go."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
