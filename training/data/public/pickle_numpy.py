"""The few names numpy writes into pickles, understood without importing or calling them.

An array is `_reconstruct(ndarray, (0,), b'b')` with a state to be set, from Python's protocol 5 on
`_frombuffer(bytes, dtype, shape, order)`; a scalar is `scalar(dtype, bytes)`; protocols below 3
write bytes as `_codecs.encode(text, 'latin1')`, and none at all as `bytes()`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lorgnette.errors import UnsafeFile

Known = Literal["ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer", "encode", "bytes"]

_KNOWN: Mapping[tuple[str, str], Known] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy._core.multiarray", "scalar"): "scalar",
    ("numpy.core.numeric", "_frombuffer"): "_frombuffer",
    ("numpy._core.numeric", "_frombuffer"): "_frombuffer",
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "bytes",
}
_NUMERIC = re.compile(r"b1|[iu][1248]|f[248]")


@dataclass(frozen=True)
class Name:
    """One of the names above: a word, not the thing itself."""

    known: Known


@dataclass
class Unfinished:
    """An array (dtype is None) or a dtype whose state comes later.

    numbers: where the memo holds it; the machine puts the finished value there too.
    """

    dtype: np.dtype[np.generic] | None
    numbers: list[int] = field(default_factory=list)


def named(module: str, name: str) -> Name:
    """The name if it is one numpy writes. Raises `UnsafeFile` for every other."""
    known = _KNOWN.get((module, name))
    if known is None:
        raise UnsafeFile(f"it names {module}.{name}")
    return Name(known)


def reduced(callee: Name, arguments: tuple[object, ...]) -> object:
    """What calling that name would give. Raises `UnsafeFile` for arguments numpy does not write."""
    match callee.known, arguments:
        case "_reconstruct", (Name(known="ndarray"), (0,), _):
            return Unfinished(None)
        case "dtype", (str(text), *_) if _NUMERIC.fullmatch(text):
            return Unfinished(np.dtype(text))
        case "scalar", (np.dtype() as dtype, bytes() | str() as raw):
            return _array(raw, dtype, (1,), "C")[0].item()
        case "_frombuffer", (bytes(raw), np.dtype() as dtype, tuple(shape), "C" | "F" as order):
            return _array(raw, dtype, shape, order)
        case "encode", (str(text), "latin1" | "latin-1"):
            return text.encode("latin-1")
        case "bytes", ():
            return b""
        case _:
            raise UnsafeFile(f"it calls {callee.known} with something numpy does not write")


def built(target: Unfinished, state: object) -> object:
    """The array or dtype once its state is known. Raises `UnsafeFile` as `reduced` does."""
    match target.dtype, state:
        case None, (1, tuple(shape), np.dtype() as dtype, bool(is_fortran), bytes() | str() as raw):
            return _array(raw, dtype, shape, "F" if is_fortran else "C")
        case np.dtype() as dtype, (int(), "<" | ">" | "|" as order, None, None, None, -1, -1, 0):
            return dtype if order == "|" else dtype.newbyteorder(order)
        case _:
            raise UnsafeFile("it sets a state numpy does not write")


def _array(
    raw: bytes | str,
    dtype: np.dtype[np.generic],
    shape: tuple[object, ...],
    order: Literal["C", "F"],
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    # Python 2 wrote bytes as text.
    content = raw.encode("latin-1") if isinstance(raw, str) else raw
    lengths = [length for length in shape if isinstance(length, int) and length >= 0]
    if len(lengths) != len(shape) or len(shape) > 8:
        raise UnsafeFile(f"it holds an array of shape {shape}"[:80])
    if math.prod(lengths) * dtype.itemsize != len(content):
        raise UnsafeFile(
            f"it claims an array of {math.prod(lengths):,} values and holds {len(content):,} bytes"
        )
    return np.frombuffer(content, dtype=dtype).reshape(lengths, order=order).copy()
