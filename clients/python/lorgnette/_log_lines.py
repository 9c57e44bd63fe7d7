"""Warnings as a person reads them: the event and its fields, which plain `logging` leaves out."""

from __future__ import annotations

import logging
from typing import Final

from lorgnette.text import visible

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Lines(logging.Formatter):
    """`lorgnette: kept for later (waiting: 3; why: no answer …)`, then a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        fields = {name: value for name, value in vars(record).items() if name not in _OWN}
        said = "; ".join(f"{name}: {value}" for name, value in fields.items())
        line = visible(f"lorgnette: {record.getMessage()}" + (f" ({said})" if said else ""))
        trace = "" if record.exc_info is None else "\n" + self.formatException(record.exc_info)
        return line + trace


def show_warnings() -> None:
    """Write warnings to stderr, unless somebody has said where they go."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
