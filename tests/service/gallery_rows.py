"""Small galleries of vectors, written without photographs, and the brute-force oracle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.manifest import Space
from lorgnette.vectors import Vectors
from service.gallery.catalogue import Catalogue, NewItem, Stamp
from service.gallery.generations import Generation
from service.gallery.selfcheck import ASKED
from service.gallery.snapshot import Snapshot
from tests.tiny_bundle import space_of

SPACE = space_of(0)


def unit_rows(count: int, *, dim: int = SPACE.dim, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def new_item(item_id: str, vector: NDArray[np.float32], *, mtime_ns: int = 1) -> NewItem:
    return NewItem(
        id=item_id,
        source=f"/photos/{item_id}",
        stamp=Stamp(size=10, mtime_ns=mtime_ns),
        metadata={"title": item_id},
        vector=vector,
    )


def fill(catalogue: Catalogue, rows: Vectors, *, space: Space = SPACE, first: int = 0) -> None:
    """Write rows as the items "000", "001", … from `first` on."""
    named = [new_item(f"{first + n:03}", row) for n, row in enumerate(rows)]
    catalogue.upsert(space, named)


def ids_and_scores(
    snapshot: Snapshot, catalogue: Catalogue, rows: Vectors, *, k: int
) -> list[list[tuple[str, float]]]:
    found = snapshot.search(rows, k=k)
    items = catalogue.items([hit.key for hits in found for hit in hits])
    return [[(items[hit.key].id, hit.score) for hit in hits] for hits in found]


def brute_force(
    truth: Mapping[int, NDArray[np.float32]], query: NDArray[np.float32], *, k: int
) -> list[tuple[int, float]]:
    """The oracle: every cosine in float64, rounded once, best first, equal ones by key."""
    scores = {
        key: float(
            np.float32(
                min(
                    1.0,
                    max(-1.0, sum(float(a) * float(b) for a, b in zip(row, query, strict=True))),
                )
            )
        )
        for key, row in truth.items()
    }
    best = sorted(scores, key=lambda key: (-scores[key], key))[:k]
    return [(key, scores[key]) for key in best]


def _cosine(row: NDArray[np.float32], query: NDArray[np.float32]) -> float:
    total = sum(float(a) * float(b) for a, b in zip(row, query, strict=True))
    return float(np.float32(min(1.0, max(-1.0, total))))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check_here(building: Path, queries: Vectors) -> NDArray[np.int64]:
    """The self-check without its process, where a test publishes often."""
    return Generation.open(building).index.search(queries, k=ASKED)[1]


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
