"""Which items match a filter, found in SQLite and remembered.

A scan of 100,000 items' metadata takes SQLite 0.3 to 0.5 s (measured beside other work, without
the interpreter's lock; dictionaries in memory: 0.03 s with it, and 60 MB in every worker). So what
a filter matched is kept, and at the next question only what was written since is looked at.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorgnette.filters import (
    And,
    Equals,
    Exists,
    Filter,
    Not,
    Or,
    Range,
    Scalar,
    filter_text,
)
from service.gallery.records import Keys

_REMEMBERED = 64
_REMEMBERED_KEYS = 8_000_000
"""Of all remembered filters together: 64 MB."""

_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TEXT, _NUMBER, _TRUTH = "('text')", "('integer', 'real')", "('true', 'false')"

_EXISTS = "EXISTS (SELECT 1 FROM json_each(items.metadata) WHERE key = ? AND type != 'null')"
_IN = "{v}.atom IN (SELECT atom FROM json_each(?))"

Sql = tuple[str, list[str]]
"""A condition on the row `items`, and the values bound to it."""


@dataclass(frozen=True)
class _Known:
    epoch: int
    seq: int
    keys: Keys


class Matching:
    """The keys of the live items that match, by filter. Thread-safe."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def keys(self, connection: sqlite3.Connection, asked: Filter) -> Keys:
        """`[M]` keys in ascending order, true for what the connection's transaction sees."""
        text = filter_text(asked)
        epoch, seq = connection.execute("SELECT epoch, seq FROM state").fetchone()
        with self._lock:
            known = self._known.get(text)
        if known is not None and known.epoch != epoch:
            # A snapshot was restored: its items are older than what is known of them.
            known = None
        if known is not None and known.seq == seq:
            keys = known.keys
        elif known is not None and known.seq < seq:
            keys = _brought_up(connection, asked, known)
        else:
            # None at all, or the catalogue went back to an older copy of itself.
            keys = _scanned(connection, asked, since=-1)
        self._remember(text, _Known(epoch=epoch, seq=seq, keys=keys))
        return keys

    def _remember(self, text: str, known: _Known) -> None:
        with self._lock:
            self._known[text] = known
            self._known.move_to_end(text)
            while len(self._known) > 1 and (
                len(self._known) > _REMEMBERED
                or sum(len(entry.keys) for entry in self._known.values()) > _REMEMBERED_KEYS
            ):
                self._known.popitem(last=False)


def _brought_up(connection: sqlite3.Connection, asked: Filter, known: _Known) -> Keys:
    rows = connection.execute("SELECT key FROM items WHERE seq > ?", (known.seq,)).fetchall()
    changed = np.array(rows, np.int64).reshape(-1)
    kept = known.keys[~np.isin(known.keys, changed)]
    keys: Keys = np.union1d(kept, _scanned(connection, asked, since=known.seq))
    return keys


def _scanned(connection: sqlite3.Connection, asked: Filter, *, since: int) -> Keys:
    condition, values = sql_of(asked)
    found = connection.execute(
        f"SELECT key FROM items WHERE NOT deleted AND seq > ? AND {condition} ORDER BY key",  # noqa: S608 - every value is bound
        (since, *values),
    ).fetchall()
    return np.array(found, np.int64).reshape(-1)


def sql_of(asked: Filter) -> Sql:
    """A filter as a condition on `items`. Every name and value of the request is bound."""
    if isinstance(asked, And):
        return _joined(asked.every, word=" AND ")
    if isinstance(asked, Or):
        return _joined(asked.some, word=" OR ")
    if isinstance(asked, Not):
        condition, values = sql_of(asked.part)
        return f"NOT ({condition})", values
    if isinstance(asked, Exists):
        return _EXISTS if asked.exists else f"NOT {_EXISTS}", [asked.field]
    if isinstance(asked, Range):
        return _between(asked)
    return _among(asked.field, (asked.eq,) if isinstance(asked, Equals) else asked.values)


def _joined(parts: Sequence[Filter], *, word: str) -> Sql:
    found = [sql_of(part) for part in parts]
    condition = word.join(f"({condition})" for condition, _ in found)
    return condition, [value for _, values in found for value in values]


def _among(field: str, wanted: Sequence[Scalar]) -> Sql:
    """One of the values. They travel as JSON, so that SQLite reads both sides' numbers alike."""
    alternatives, values = [], []
    for types, chosen in (
        (_TEXT, [value for value in wanted if isinstance(value, str)]),
        (_TRUTH, [value for value in wanted if isinstance(value, bool)]),
        (_NUMBER, [v for v in wanted if isinstance(v, int | float) and not isinstance(v, bool)]),
    ):
        if chosen:
            alternatives.append(f"{{v}}.type IN {types} AND {_IN}")
            values.append(json.dumps(chosen))
    return _some_value(field, " OR ".join(alternatives) or "0", values)


def _between(asked: Range) -> Sql:
    bounds = asked.bounds()
    types = _TEXT if any(isinstance(bound, str) for bound in bounds.values()) else _NUMBER
    tests = [f"{{v}}.atom {_OPERATORS[name]} json_extract(?, '$[0]')" for name in bounds]
    condition = " AND ".join([f"{{v}}.type IN {types}", *tests])
    return _some_value(asked.field, condition, [json.dumps([b]) for b in bounds.values()])


def _some_value(field: str, condition: str, values: list[str]) -> Sql:
    """The field, or an element of the list it is, meets a condition on `{v}`."""
    own, element = condition.format(v="f"), condition.format(v="e")
    return (
        "EXISTS (SELECT 1 FROM json_each(items.metadata) AS f WHERE f.key = ?"  # noqa: S608 - every value is bound
        f" AND (({own}) OR f.type = 'array' AND EXISTS (SELECT 1 FROM json_each("
        f"CASE f.type WHEN 'array' THEN f.value ELSE '[]' END) AS e WHERE {element})))",
        [field, *values, *values],
    )
