"""Unit rows and how they travel: little-endian float32, float16 or int8, raw or as base64.

int8 is each row times 127 over its largest number: a row's length means nothing here, so no scale
travels with it.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidVector

Vectors = NDArray[np.float32]
"""`[N, D]` float32, rows of unit length."""

WireDtype = Literal["f16", "f32", "i8"]
_NUMPY_DTYPE: dict[WireDtype, np.dtype[np.floating] | np.dtype[np.signedinteger]] = {
    "f16": np.dtype("<f2"),
    "f32": np.dtype("<f4"),
    "i8": np.dtype("i1"),
}
_I8_MAX = 127

MIN_NORM = 1e-6
"""A row shorter than this has no direction to search in."""


class NonFiniteVector(InvalidVector):
    """A vector with NaN or infinity: the encoder failed. Travels as its parent's code."""


def unit_rows(rows: NDArray[np.floating], *, dim: int) -> Vectors:
    """Check `[N, D]` rows and return them as float32 of unit length.

    Raises `InvalidVector` naming the first bad row when there are no rows, the width is not `dim`,
    a value is not finite in float32, or a row is shorter than `MIN_NORM`.
    """
    if rows.ndim != 2 or rows.shape[1] != dim or rows.shape[0] == 0:
        raise InvalidVector(
            f"expected one or more vectors of {dim} numbers, found an array of shape "
            f"{list(rows.shape)}: use a model of this space"
        )
    # As `np.linalg.norm` does it, which takes thrice as long for one row.
    # A signalling NaN is invalid in a cast, and refused below as any other.
    with np.errstate(over="ignore", invalid="ignore"):
        wide = np.ascontiguousarray(rows, dtype=np.float32).astype(np.float64)
        norms = np.sqrt(np.add.reduce(wide * wide, axis=1))
    # No square of a float32 is too large for float64: what is not finite here was not finite there.
    if not all(MIN_NORM <= norm < math.inf for norm in norms.tolist()):
        _refuse(norms)
    unit: Vectors = (wide / norms[:, None]).astype(np.float32)
    return unit


def _refuse(norms: NDArray[np.float64]) -> NoReturn:
    """Raise `InvalidVector` for the first row `[N]` whose length is no length."""
    finite = np.isfinite(norms)
    if not finite.all():
        raise NonFiniteVector(
            f"vector {int(np.argmin(finite))} holds NaN or infinity (or a number too large for "
            "its type): the encoder failed on this image; encode it again"
        )
    raise InvalidVector(
        f"vector {int(np.argmin(norms))} has length {norms.min():.1e}, so it points nowhere: "
        "the encoder failed on this image; encode it again"
    )


def to_bytes(rows: Vectors, *, dtype: WireDtype) -> bytes:
    """`[N, D]` rows, row-major little-endian; float16 costs 2 bytes a number, int8 one.

    Raises `InvalidVector` when a value does not survive the cast.
    """
    if not np.isfinite(rows).all():
        raise InvalidVector(f"a value is NaN, infinite or too large for {dtype}")
    if dtype == "i8":
        peaks = np.abs(rows).max(axis=1, keepdims=True, initial=0)
        rows = np.rint(rows * (_I8_MAX / np.where(peaks == 0, 1, peaks)))
    with np.errstate(over="ignore"):
        packed = np.ascontiguousarray(rows, dtype=_NUMPY_DTYPE[dtype])
    if not np.isfinite(packed).all():
        raise InvalidVector(f"a value is NaN, infinite or too large for {dtype}")
    return packed.tobytes()


def from_bytes(raw: bytes, *, dtype: WireDtype, dim: int) -> NDArray[np.float32]:
    """Inverse of `to_bytes`: `[N, D]` float32, not yet checked for finiteness or length.

    Raises `InvalidVector` when it is not a whole number of rows.
    """
    row_bytes = dim * _NUMPY_DTYPE[dtype].itemsize
    if row_bytes == 0 or len(raw) == 0 or len(raw) % row_bytes:
        raise InvalidVector(
            f"expected a multiple of {row_bytes} bytes ({dim} × {dtype} a vector), "
            f"found {len(raw)}: check the model's dimension and the dtype"
        )
    rows = np.frombuffer(raw, dtype=_NUMPY_DTYPE[dtype]).reshape(-1, dim)
    widened: NDArray[np.float32] = rows.astype(np.float32)
    return widened


def to_base64(rows: Vectors, *, dtype: WireDtype) -> str:
    """`to_bytes` as base64 text."""
    return base64.b64encode(to_bytes(rows, dtype=dtype)).decode("ascii")


def from_base64(text: str, *, dtype: WireDtype, dim: int) -> NDArray[np.float32]:
    """Inverse of `to_base64`: see `from_bytes`. Raises `InvalidVector` for what is not base64."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidVector(f"the vector data is not base64: {error}") from error
    # RFC 4648, section 3.5: a decoder may refuse bits after the last byte that are not zero.
    if base64.b64encode(raw).decode() != text:
        raise InvalidVector("the vector data is not base64: bits after its last byte are not zero")
    return from_bytes(raw, dtype=dtype, dim=dim)
