"""Answers kept under the caller's idempotency key, so that a repeated request is not done twice.

An answer is stored in the transaction of what it answers: there is no moment in which one exists
without the other.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from lorgnette.errors import InvalidRequest
from service.gallery.statements import now

KEPT_HOURS = 24

REINDEX_ROUTE = "reindex"
"""Its answers are the ids of jobs."""

KEY_PATTERN = r"^[A-Za-z0-9._~:/+=-]{1,255}$"


@dataclass(frozen=True)
class Token:
    """A request that must have its effect once. route: what was asked; key: the caller's name."""

    route: str
    key: str
    body_sha256: str

    @classmethod
    def of(cls, route: str, key: str | None, body: bytes) -> Self | None:
        """The token of a request; None when the caller sent no key. Raises `InvalidRequest`."""
        if key is None:
            return None
        if re.fullmatch(KEY_PATTERN, key) is None:
            raise InvalidRequest(
                "Idempotency-Key: expected 1 to 255 letters, digits or ._~:/+=- such as a UUID"
            )
        return cls(route=route, key=key, body_sha256=hashlib.sha256(body).hexdigest())


def recall(connection: sqlite3.Connection, token: Token | None) -> str | None:
    """The answer this request already had, if any.

    Raises `InvalidRequest` when the key was used for another body.
    """
    if token is None:
        return None
    found = connection.execute(
        "SELECT body_sha256, answer FROM answers WHERE route = ? AND key = ?",
        (token.route, token.key),
    ).fetchone()
    if found is None:
        return None
    if found[0] != token.body_sha256:
        raise InvalidRequest(
            f"Idempotency-Key {token.key!r} was used for another body in the last {KEPT_HOURS} "
            "hours: send a new key with a new request"
        )
    return str(found[1])


def remember(connection: sqlite3.Connection, token: Token | None, answer: str) -> None:
    """Keep an answer for a day."""
    if token is None:
        return
    oldest = (datetime.now(UTC) - timedelta(hours=KEPT_HOURS)).isoformat(timespec="milliseconds")
    connection.execute("DELETE FROM answers WHERE created_at < ?", (oldest,))
    connection.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
        (token.route, token.key, token.body_sha256, answer, now()),
    )
