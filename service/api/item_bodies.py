"""What the item routes read, and what becomes of it."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Annotated, Self

import numpy as np
from fastapi import Path as PathParameter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from lorgnette.errors import InvalidImage, InvalidRequest
from lorgnette.text import quoted
from lorgnette.vectors import from_base64
from lorgnette.wire import PackedVectors
from service.gallery.item_id import MAX_ID_CHARS, RULE, is_item_id

MAX_METADATA_BYTES = 16_384

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""In JSON: the escape itself, not a backslash before the letters."""

ItemId = Annotated[
    str,
    PathParameter(
        description="no part between slashes is empty, '.' or '..'",
        # Documented here, checked by `checked_id`, for bodies as for paths.
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_ID_CHARS,
            "pattern": "^[^\\x00-\\x1f\\x7f]+$",
        },
    ),
]

Floats = Annotated[list[float], Field(min_length=1)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ItemBody(_Body):
    """`PUT /admin/items/{id}` as JSON: an image in base64, or a vector of a named space."""

    image: str | None = None
    space: str | None = None
    vector: PackedVectors | Floats | None = None
    metadata: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        is_vector = self.space is not None and self.vector is not None
        is_part = (self.space is None) != (self.vector is None)
        if is_part or is_vector == (self.image is not None):
            raise ValueError('expected either "image", or "space" and "vector"')
        return self

    def image_bytes(self) -> bytes | None:
        """The encoded image, when this is one. Raises `InvalidImage`."""
        if self.image is None:
            return None
        try:
            return base64.b64decode(self.image, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidImage(f"image: expected base64, found other text ({error})") from error

    def row(self, *, dim: int) -> NDArray[np.float32]:
        """The vector `[1, dim]`, not yet checked. Raises `InvalidVector`."""
        assert self.vector is not None
        if isinstance(self.vector, PackedVectors):
            return from_base64(self.vector.data, dtype=self.vector.dtype, dim=dim)
        with np.errstate(over="ignore"):
            return np.asarray([self.vector], dtype=np.float64).astype(np.float32)


class NamedItemBody(ItemBody):
    """One item of a batch."""

    id: str


class BatchBody(_Body):
    """`POST /admin/items:batch`: written together or not at all; no id may come twice."""

    upsert: list[NamedItemBody] = []
    delete: list[str] = []

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        ids = [*(item.id for item in self.upsert), *self.delete]
        if not ids:
            raise ValueError('expected something to "upsert" or to "delete"')
        # A body holds half a million ids, so nothing here may be quadratic.
        seen: set[str] = set()
        for item_id in ids:
            if item_id in seen:
                raise ValueError(f"the id {quoted(item_id)} comes twice in one batch")
            seen.add(item_id)
        return self


def checked_id(item_id: str) -> str:
    """An id as it may be stored. Raises `InvalidRequest`."""
    if not is_item_id(item_id):
        raise InvalidRequest(f"id: expected {RULE}; found {quoted(item_id)}")
    return item_id


def checked_metadata(metadata: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Metadata as it may be stored. Raises `InvalidRequest`."""
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            "metadata: it holds NaN, infinity or a number too long to keep: leave it out"
        ) from error
    if len(text) > MAX_METADATA_BYTES:
        raise InvalidRequest(
            f"metadata: expected at most {MAX_METADATA_BYTES:,} bytes of JSON, found "
            f"{len(text):,}: keep a reference to the rest"
        )
    # SQLite ends a text there: a filter for what is before it would find this item.
    if _NUL.search(text):
        raise InvalidRequest("metadata: a name or a text holds U+0000: leave that out")
    return dict(metadata)
