"""From what a caller sent to what is written: images kept and embedded, vectors checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from lorgnette.errors import InvalidInput, SpaceMismatch
from lorgnette.manifest import Space
from lorgnette.text import quoted
from lorgnette.vectors import unit_rows
from service.gallery import sources, writes
from service.gallery.answers import Token
from service.gallery.catalogue import Catalogue
from service.gallery.records import Put, Stamp
from service.gallery.writes import Written
from service.teachers import Teachers

_NO_PHOTOGRAPH = Stamp(size=0, mtime_ns=0)


class VectorBody(Protocol):
    """A vector as it travelled."""

    def row(self, *, dim: int) -> NDArray[np.float32]:
        """`[1, dim]`, unchecked. Raises `InvalidVector`."""


@dataclass(frozen=True)
class Wanted:
    """An item to write: `image`, the encoded bytes, or `vector` of `space`."""

    id: str
    metadata: dict[str, JsonValue]
    image: bytes | None
    space: str
    vector: VectorBody | None


def put_items(
    catalogue: Catalogue,
    teachers: Teachers,
    data: Path,
    wanted: Sequence[Wanted],
    *,
    delete: Sequence[str],
    token: Token | None,
) -> Written:
    """Write items, all or nothing; blocking.

    An image is embedded in every space the gallery speaks and has a teacher for. A space that
    begins meanwhile (a reindex with a new teacher) makes it begin again, so that none is missed.

    Raises `InvalidInput` naming the item, `SpaceMismatch`, `Conflict` without a teacher,
    `DiskFull`; then nothing is written.
    """
    while True:
        spaces = catalogue.spaces()
        puts = [_put(entry, spaces, teachers, data) for entry in wanted]
        if catalogue.spaces() == spaces or not any(entry.image for entry in wanted):
            return writes.write(catalogue, puts, delete=delete, token=token)


def _put(wanted: Wanted, spaces: Sequence[Space], teachers: Teachers, data: Path) -> Put:
    try:
        if wanted.image is None:
            source, stamp = "", _NO_PHOTOGRAPH
            vectors = _given(wanted, spaces, teachers)
        else:
            # Embedded first: what cannot be read is not kept.
            vectors = {
                encoder.space: encoder.encode(wanted.image) for encoder in teachers.speaking(spaces)
            }
            source, stamp = sources.store(data, wanted.image)
    except InvalidInput as error:
        raise type(error)(f"item {quoted(wanted.id)}: {error}") from error
    return Put(id=wanted.id, source=source, stamp=stamp, metadata=wanted.metadata, vectors=vectors)


def _given(
    wanted: Wanted, spaces: Sequence[Space], teachers: Teachers
) -> dict[Space, NDArray[np.float32]]:
    """The vector that was sent, checked against the spaces it may belong to."""
    assert wanted.vector is not None
    known = spaces or tuple(encoder.space for encoder in teachers.speaking(()))
    for space in known:
        if space.id == wanted.space:
            row: NDArray[np.float32] = unit_rows(wanted.vector.row(dim=space.dim), dim=space.dim)[0]
            return {space: row}
    raise SpaceMismatch(
        f"this gallery speaks {' and '.join(space.id for space in known)}, item "
        f"{quoted(wanted.id)} is of {quoted(wanted.space)}: embed it with a teacher of the gallery",
        expected=tuple(space.id for space in known),
        found=wanted.space[:100],
    )
