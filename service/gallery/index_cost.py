"""What an index takes before it is built, told from its factory string."""

from __future__ import annotations

from dataclasses import dataclass

from service.gallery.faiss_index import faiss, inverted_in, made

_LIST_SPARE = 1.5
"""Lists grow by doubling: they end up between once and twice as large as what they hold."""


@dataclass(frozen=True)
class Cost:
    """Bytes an index takes for each row, estimated: kept in its file, held in memory once built,
    moved while rows are added. copied_again: of the rows it learns from, how many at most it
    copies while it does."""

    kept: int
    held: int
    moved: int
    is_learning: bool
    copied_again: int


def cost_of(factory: str, *, dim: int) -> Cost:
    """What an index of this kind costs.

    Raises `InvalidConfiguration` for a factory FAISS does not know.
    """
    index = made(factory, dim=dim)
    inverted = inverted_in(index)
    lists = 0 if inverted is None else int(inverted.nlist)
    is_coded = inverted is not None and not isinstance(inverted, faiss.IndexIVFFlat)
    # Its limits: 256 rows a list; 256 rows for each of 256 values of a code, and their residuals.
    copied_again = max(256 * lists, 2 * 256 * 256 if is_coded else 0)
    return Cost(
        kept=_bytes_a_row(index, spare=1.0),
        held=_bytes_a_row(index, spare=_LIST_SPARE),
        moved=4 * dim if isinstance(faiss.downcast_index(index), faiss.IndexPreTransform) else 0,
        is_learning=not index.is_trained,
        copied_again=copied_again,
    )


def _bytes_a_row(index: object, *, spare: float) -> int:
    """spare: how much larger lists are than what they hold."""
    native = faiss.downcast_index(index)
    if isinstance(native, faiss.IndexPreTransform):
        return _bytes_a_row(native.index, spare=spare)
    if isinstance(native, faiss.IndexRefine):
        parts = (native.base_index, native.refine_index)
        return sum(_bytes_a_row(part, spare=spare) for part in parts)
    if isinstance(native, faiss.IndexIVF):
        return int(spare * (native.code_size + 8))
    if isinstance(native, faiss.IndexHNSW):
        # All links of the lowest layer, and a few above it: one node in M is there too.
        links = 4 * int(native.hnsw.nb_neighbors(0)) + 24
        return _bytes_a_row(native.storage, spare=spare) + links
    if hasattr(native, "code_size"):
        return int(native.code_size)
    return 8 * int(native.d)
