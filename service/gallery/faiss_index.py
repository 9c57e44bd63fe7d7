"""FAISS, behind types. The only module that imports it; `index_cost` alone borrows it.

Inner product over unit rows is the cosine. FAISS pads missing results with position -1; callers
of `Index.search` are told so and drop them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration, InvalidGallery, NotEnoughMemory
from lorgnette.vectors import Vectors

# Its stubs are partial and differ between versions, so its names are used untyped, only here.
faiss: Any = _faiss

# FAISS hands a batch to BLAS only above this many query numbers; its default of 128,000 leaves
# batches of 64 queries eight times slower than they need be (100k × 512, one thread).
_BLAS_THRESHOLD = 1024

_WIDEST = 4096
"""Candidates an HNSW search may hold, however few of them are wanted."""


class _Native(Protocol):
    ntotal: int
    d: int
    metric_type: int
    is_trained: bool

    def train(self, rows: Vectors) -> None: ...
    def add(self, rows: Vectors) -> None: ...
    def search(
        self, rows: Vectors, k: int, *, params: object = None
    ) -> tuple[Vectors, NDArray[np.int64]]: ...
    def reconstruct_batch(self, positions: NDArray[np.int64]) -> Vectors: ...


@dataclass(frozen=True)
class Effort:
    """probes: lists an inverted index looks into; k_factor: so many candidates a wanted hit are
    compared again. None: the index has no such thing."""

    probes: int | None = None
    k_factor: float | None = None


class Index:
    """A FAISS index over positions `0 … count - 1`. Searching is thread-safe, adding is not."""

    def __init__(self, index: _Native, *, holds: tuple[_Native, ...] = ()) -> None:
        """holds: what FAISS refers to and does not own."""
        self._index = index
        self._holds = holds
        faiss.cvar.distance_compute_blas_threshold = _BLAS_THRESHOLD

    @property
    def count(self) -> int:
        """Number of rows held."""
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self._index.d)

    @property
    def is_exact(self) -> bool:
        """Whether it holds the rows as they are and compares with all of them."""
        return isinstance(self._index, faiss.IndexFlat)

    def search(self, rows: Vectors, *, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Scores and positions `[N, k]`, best first; a position of -1 means no further result."""
        return self._index.search(np.ascontiguousarray(rows), k)

    @property
    def can_select(self) -> bool:
        """Whether it can leave positions out while it searches, instead of afterwards."""
        return _selecting(self._index, None, share=1.0) is not None

    def search_among(
        self, rows: Vectors, *, k: int, is_wanted: NDArray[np.bool_]
    ) -> tuple[Vectors, NDArray[np.int64]]:
        """As `search`, among the wanted positions `[N]` only; for an index that `can_select`."""
        bits = np.packbits(is_wanted, bitorder="little")
        share = max(float(is_wanted.mean()), 1e-6)
        parameters = _selecting(self._index, faiss.IDSelectorBitmap(bits), share=share)
        found: tuple[Vectors, NDArray[np.int64]] = self._index.search(
            np.ascontiguousarray(rows), k, params=parameters
        )
        return found

    def rows_at(self, positions: NDArray[np.int64]) -> Vectors:
        """The rows `[M, D]` at positions `[M]`; only of an exact index."""
        return self._index.reconstruct_batch(np.ascontiguousarray(positions))

    @property
    def effort(self) -> Effort:
        """How hard a search tries; written with the index."""
        inverted, refining = inverted_in(self._index), _refining(self._index)
        return Effort(
            probes=None if inverted is None else int(inverted.nprobe),
            k_factor=None if refining is None else float(refining.k_factor),
        )

    @property
    def lists(self) -> int:
        """How many lists an inverted index has; 0 for another."""
        inverted = inverted_in(self._index)
        return 0 if inverted is None else int(inverted.nlist)

    def set_effort(self, effort: Effort) -> None:
        """Try so hard from now on. What is None stays, and so does what this index has not."""
        inverted, refining = inverted_in(self._index), _refining(self._index)
        if inverted is not None and effort.probes is not None:
            inverted.nprobe = min(effort.probes, inverted.nlist)
        if refining is not None and effort.k_factor is not None:
            refining.k_factor = effort.k_factor

    def refined(self, rows: Vectors, *, kind: str) -> Index:
        """This index with its best candidates compared again by rows `[N, D]` kept as `kind`.

        This one is part of the new one, and is not to be used by itself any more.
        """
        kept = made(kind, dim=self.dim)
        kept.train(rows)
        kept.add(rows)
        return Index(faiss.IndexRefine(self._index, kept), holds=(self._index, kept))

    def write(self, path: Path) -> None:
        """Write to a new file and sync it. Raises `OSError` when the disk does not take it."""
        with path.open("xb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))
            file.flush()
            os.fsync(file.fileno())


def inverted_in(index: object) -> Any:
    """The inverted index inside, or None."""
    native = faiss.downcast_index(index)
    if isinstance(native, faiss.IndexRefine):
        return inverted_in(native.base_index)
    return faiss.try_extract_index_ivf(native)


def _refining(index: object) -> Any:
    native = faiss.downcast_index(index)
    return native if isinstance(native, faiss.IndexRefine) else None


def _selecting(index: Any, selector: object, *, share: float) -> object:
    """Search parameters that carry a selector, or None for an index that takes none.

    share: of the rows, those wanted. Among few a graph or an inverted index must look further for
    as many: the k-th of a tenth is the 10 k-th of all.
    """
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        inner = _selecting(index.index, selector, share=share)
        return inner and faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        inner = _selecting(index.base_index, selector, share=share)
        return inner and faiss.IndexRefineSearchParameters(
            k_factor=index.k_factor, base_index_params=inner
        )
    if isinstance(index, faiss.IndexHNSW):
        breadth = min(int(index.hnsw.efSearch / share), _WIDEST)
        return faiss.SearchParametersHNSW(sel=selector, efSearch=breadth)
    if isinstance(index, faiss.IndexIVF):
        probes = min(int(index.nprobe / share), index.nlist)
        return faiss.SearchParametersIVF(sel=selector, nprobe=probes)
    if isinstance(index, faiss.IndexFlat | faiss.IndexScalarQuantizer):
        return faiss.SearchParameters(sel=selector)
    return None


def build(
    rows: Vectors,
    *,
    factory: str,
    training: Callable[[], Vectors] | None = None,
    centres: Callable[[Vectors, int], Vectors] | None = None,
) -> Index:
    """Hold `[N, D]` rows, trained on them or on what `training` gives, `[M, D]`.

    training: called only for an index that learns from rows, and let go before any is added.
    centres: finds those of an inverted index, so many among the rows to train on; None: FAISS does.
    factory: a FAISS factory string such as "Flat" or "IVF1024,PQ64x4fs,RFlat".
    Raises `InvalidConfiguration` when FAISS cannot build that from these rows, `NotEnoughMemory`.
    """
    index = made(factory, dim=rows.shape[1])
    try:
        if not index.is_trained:
            _train(index, rows if training is None else training(), centres=centres)
        index.add(rows)
    except RuntimeError as error:
        raise InvalidConfiguration(
            f"FAISS cannot build {factory!r} from {len(rows)} vectors ({_reason(error)}): use "
            '"Flat", or a factory for fewer vectors'
        ) from error
    except MemoryError as error:
        raise NotEnoughMemory(
            f"{factory!r} of {len(rows)} vectors does not fit in memory: use a smaller factory "
            'such as "SQ8", or a machine with more'
        ) from error
    return Index(index)


def _train(
    index: _Native, rows: Vectors, *, centres: Callable[[Vectors, int], Vectors] | None
) -> None:
    inverted = inverted_in(index)
    if inverted is not None and centres is not None:
        # FAISS trains no lists whose centres are all there.
        inverted.quantizer.add(centres(rows, int(inverted.nlist)))
    index.train(rows)


def check_factory(factory: str, *, dim: int) -> None:
    """Raise `InvalidConfiguration` unless FAISS knows this factory string for this dimension."""
    made(factory, dim=dim)


def read(path: Path) -> Index:
    """Map a published index into memory, shared with other processes that map it.

    The caller has verified the file: a malformed one can kill the process (an uncaught C++
    exception). Raises `InvalidGallery` for one FAISS refuses.
    """
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise InvalidGallery(
            f"FAISS cannot read {path} ({_reason(error)}): build it again with `lorgnette reindex`"
        ) from error
    return Index(cast("_Native", index))


def made(factory: str, *, dim: int) -> _Native:
    """An empty index. Raises `InvalidConfiguration` for a factory FAISS does not know."""
    if re.search(r"[A-Za-z]0+(?![0-9])", factory):
        # FAISS takes them, and aborts the process later.
        raise InvalidConfiguration(
            f'{factory!r} holds a number that is zero: try "Flat", "SQ8" or "HNSW32"'
        )
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise InvalidConfiguration(
            f"{factory!r} is not a FAISS factory string for {dim} dimensions "
            f'({_reason(error)}): try "Flat", "SQ8" or "HNSW32"'
        ) from error
    if isinstance(index, faiss.IndexIDMap):
        raise InvalidConfiguration(
            f"{factory!r} brings its own ids, lorgnette keeps them itself: leave IDMap out"
        )
    return cast("_Native", index)


def _reason(error: RuntimeError) -> str:
    """FAISS's message without its C++ signature and source line."""
    return (
        str(error).strip().rpartition("failed: ")[2].rpartition(".cpp:")[2].lstrip("0123456789: ")
    )
