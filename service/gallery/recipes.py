"""Which factory a gallery of some size gets from `auto`, as a pure function of that size."""

from __future__ import annotations

import math

FLAT_ROWS, _SCANNED_ROWS = 10_000, 200_000
"""Up to so many rows: as they are; all of them as 4-bit codes. A scan of 20,000 codes takes 1/40
of what their fp16 rows take, and one of 200,000 as long as the lists of those."""

_LEAST_DIM = 64
"""Shorter rows lose too much as 4-bit codes, and are quick to compare."""

_TRAINING_A_LIST = 64
"""Rows to train each list on: more move the centres by less than the recall can tell."""

_TRAINING_CODES = 65_536
"""Rows to train codes without lists on: FAISS looks at no more of them."""


def coded_factory(count: int, *, dim: int) -> str:
    """The part that finds candidates by 4-bit codes; empty for a gallery that needs none."""
    if count <= FLAT_ROWS or dim < _LEAST_DIM:
        return ""
    # A code of 4 bits for every 4 numbers, or as near to that as the length allows.
    parts = next(parts for parts in range(dim // 4, 0, -1) if dim % parts == 0)
    if dim / parts > 2 * 4:
        return ""
    lists = lists_of(count)
    return f"IVF{lists},PQ{parts}x4fs" if lists else f"PQ{parts}x4fs"


def lists_of(count: int) -> int:
    """How many lists to part so many rows into: a power of two about 2 √N; 0 for none.

    With twice as many a query takes as long, for the lists are compared too, and a build longer.
    """
    if count <= _SCANNED_ROWS:
        return 0
    return 1 << round(math.log2(2 * math.sqrt(count)))


def training_rows(count: int) -> int:
    """How many of them to train the candidates' part on, at most."""
    return _TRAINING_A_LIST * lists_of(count) or _TRAINING_CODES


def largest_factory(count: int, *, dim: int) -> str:
    """What `auto` may need most memory for, to be told before the build."""
    coded = coded_factory(count, dim=dim)
    if coded:
        return f"{coded},Refine(SQfp16)"
    return "SQfp16" if count > FLAT_ROWS else "Flat"
