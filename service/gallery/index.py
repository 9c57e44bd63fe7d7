"""What a generation asks of its index, whoever holds it: a mapped FAISS file, or Milvus."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lorgnette.vectors import Vectors


class Index(Protocol):
    """Unit rows at positions `0 … count - 1`. Searching is thread-safe."""

    @property
    def count(self) -> int:
        """Number of rows held."""

    @property
    def dim(self) -> int:
        """Length of a row."""

    @property
    def is_exact(self) -> bool:
        """Whether it holds the rows as they are and compares with all of them."""

    @property
    def can_select(self) -> bool:
        """Whether it can leave positions out while it searches, instead of afterwards."""

    def search(self, rows: Vectors, *, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Cosines and positions `[N, k]`, best first; a position of -1 means no further result."""

    def search_among(
        self, rows: Vectors, *, k: int, is_wanted: NDArray[np.bool_]
    ) -> tuple[Vectors, NDArray[np.int64]]:
        """As `search`, among the wanted positions `[N]` only; of one that `can_select`."""

    def rows_at(self, positions: NDArray[np.int64]) -> Vectors:
        """The rows `[M, D]` at positions `[M]`; only of an exact index."""

    def write(self, path: Path) -> None:
        """Write what opens it again to a new file and sync it. Raises `OSError`."""
