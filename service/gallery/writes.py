"""Writes that come over HTTP: one item or many, all or nothing, and what is there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, JsonValue

from lorgnette.errors import NotFound, SpaceMismatch
from lorgnette.manifest import Space
from lorgnette.text import quoted
from service.gallery import answers
from service.gallery.answers import Token
from service.gallery.catalogue import Catalogue
from service.gallery.records import Put
from service.gallery.statements import (
    delete_items,
    next_seq,
    put_vector,
    register,
    spaces_of,
    upsert_item,
)


class Written(BaseModel):
    """What a write did. seq: its number; whoever has seen this much has seen it."""

    model_config = ConfigDict(frozen=True)

    seq: int
    upserted: int
    deleted: int


class StoredItem(BaseModel):
    """An item as the catalogue holds it. source: the file it was embedded from, or empty;
    spaces: those it has a vector in."""

    model_config = ConfigDict(frozen=True)

    id: str
    seq: int
    source: str
    metadata: dict[str, JsonValue]
    spaces: list[str]


@dataclass(frozen=True)
class Page:
    """A part of the items, in order of key. after: where the next part begins; None: no more."""

    items: tuple[StoredItem, ...]
    after: int | None


def write(
    catalogue: Catalogue,
    puts: Sequence[Put],
    *,
    delete: Sequence[str] = (),
    token: Token | None = None,
) -> Written:
    """Write and delete in one transaction. A request that was answered is answered the same.

    Raises `SpaceMismatch` for a vector of a space the gallery does not speak, `InvalidRequest` for
    an idempotency key used otherwise, `DiskFull`; then nothing of it is written.
    """
    with catalogue.writing() as connection:
        known = answers.recall(connection, token)
        if known is not None:
            return Written.model_validate_json(known)
        _check_spaces(connection, puts)
        seq = next_seq(connection)
        deleted = delete_items(connection, delete, seq=seq)
        for put in puts:
            key = upsert_item(connection, put, seq=seq)
            for space, row in put.vectors.items():
                put_vector(connection, space, key=key, vector=row, seq=seq)
        written = Written(seq=seq, upserted=len(puts), deleted=deleted)
        answers.remember(connection, token, written.model_dump_json())
    return written


def answered(catalogue: Catalogue, token: Token | None) -> Written | None:
    """What this request was answered before, so that nothing need be embedded for it again."""
    with catalogue.reading() as connection:
        known = answers.recall(connection, token)
    return None if known is None else Written.model_validate_json(known)


def one(catalogue: Catalogue, item_id: str) -> StoredItem:
    """The live item of this id. Raises `NotFound`."""
    with catalogue.reading() as connection:
        row = connection.execute(
            f"{_SELECT} WHERE NOT i.deleted AND i.id = ?", (item_id,)
        ).fetchone()
    if row is None:
        raise NotFound(
            f"there is no item {quoted(item_id)}: `lorgnette items list` or GET /admin/items "
            "lists what there is"
        )
    return _stored(row)


def page(catalogue: Catalogue, *, after: int, limit: int) -> Page:
    """Up to `limit` live items whose key is greater than `after`.

    What is written meanwhile comes at the end or not at all; nothing comes twice.
    """
    with catalogue.reading() as connection:
        rows = connection.execute(
            f"{_SELECT} WHERE NOT i.deleted AND i.key > ? ORDER BY i.key LIMIT ?",
            (after, limit + 1),
        ).fetchall()
    shown = rows[:limit]
    return Page(
        items=tuple(_stored(row) for row in shown),
        after=shown[-1][0] if len(rows) > limit else None,
    )


_SELECT = (
    "SELECT i.key, i.id, i.seq, i.source, i.metadata,"
    " (SELECT json_group_array(v.space) FROM vectors v JOIN spaces s ON s.id = v.space"
    " WHERE v.key = i.key AND s.retired_at IS NULL) FROM items i"
)


def _stored(row: tuple[int, str, int, str, str, str]) -> StoredItem:
    _, item_id, seq, source, metadata, spaces = row
    return StoredItem(
        id=item_id,
        seq=seq,
        source=source,
        metadata=json.loads(metadata),
        spaces=sorted(json.loads(spaces)),
    )


def _check_spaces(connection: sqlite3.Connection, puts: Sequence[Put]) -> None:
    """Only an empty gallery learns a new space from a write: otherwise a reindex brings it."""
    spaces: set[Space] = {space for put in puts for space in put.vectors}
    live = spaces_of(connection)
    for space in spaces if not live else ():
        register(connection, space)
    for space in spaces if live else ():
        if space not in live:
            raise SpaceMismatch(
                f"this gallery speaks {' and '.join(known.id for known in live)}, the item is of "
                f"{space.id}: embed it with a teacher of the gallery, or reindex with that teacher",
                expected=tuple(known.id for known in live),
                found=space.id,
            )
