"""Alignment, uniformity and utilisation of unit rows, in float64.  numpy only.

Alignment and uniformity: Wang and Isola, ICML 2020, section 4.1, with α = 2 and t = 2.
Utilisation: Venkataramanan et al., ICLR 2022 (Metrix), whose normalisation is not verified here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors

_ROWS_AT_ONCE = 512
_OTHERS_AT_ONCE = 16_384

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class _Sums:
    """Of each of C labels.  count, energy: float64 `[C]`, Σ 1 and Σ ‖x‖².  total: `[C, D]`, Σ x."""

    count: NDArray[np.float64]
    energy: NDArray[np.float64]
    total: NDArray[np.float64]


def alignment(rows: Vectors, labels: Labels) -> float:
    """Mean of ‖x - x⁺‖² over all pairs of two rows of one label: in [0, 4], 0 when each is a point.

    rows: `[N, D]`.  labels: `[N]`, from 0.  From the sums of each label, so in one pass.
    Raises `InvalidConfiguration` when no label has two rows.
    """
    sums = _sums(rows, labels, labels=int(labels.max(initial=-1)) + 1)
    pairs = float((sums.count * (sums.count - 1)).sum())
    _require(pairs, "no class has two photographs")
    distances = 2 * (sums.count * sums.energy - (sums.total**2).sum(axis=1))
    return max(0.0, float(distances.sum()) / pairs)


def cross_alignment(
    anchors: Vectors, anchor_labels: Labels, others: Vectors, other_labels: Labels
) -> float:
    """Mean of ‖a - x‖² over all anchors `[A, D]` and others `[X, D]` of the same label: in [0, 4].

    Raises `InvalidConfiguration` when no anchor shares its label with another.
    """
    labels = int(max(anchor_labels.max(initial=-1), other_labels.max(initial=-1))) + 1
    a, x = _sums(anchors, anchor_labels, labels=labels), _sums(others, other_labels, labels=labels)
    pairs = float((a.count * x.count).sum())
    _require(pairs, "no query shares its class with the gallery")
    crossed = (a.total * x.total).sum(axis=1)
    distances = x.count * a.energy + a.count * x.energy - 2 * crossed
    return max(0.0, float(distances.sum()) / pairs)


def uniformity(rows: Vectors) -> float:
    """log of the mean of e^(-2 ‖x - y‖²) over all pairs of two rows: in [-8, 0], lowest when even.

    rows: `[N, D]`, N >= 2; N² products, in chunks.  Raises `InvalidConfiguration` for fewer.
    """
    _require(len(rows) - 1, f"{len(rows)} photographs are no pair")
    total = 0.0
    for begin, distances in _distances(rows, rows):
        potentials = np.exp(-2 * distances)
        own = np.arange(len(potentials))
        potentials[own, own + begin] = 0
        total += float(potentials.sum())
    return math.log(total / (len(rows) * (len(rows) - 1)))


def utilisation(queries: Vectors, held: Vectors) -> float:
    """Mean over the queries of the squared distance to the nearest held row: in [0, 4].

    queries: `[Q, D]`.  held: `[X, D]`.  Lower: the held rows, such as a training set with its
    mixed embeddings, reach more of where queries are.  Raises `InvalidConfiguration` when either
    is empty.
    """
    _require(min(len(queries), len(held)), "there are no queries, or nothing they could be near")
    nearest = np.full(len(queries), np.inf)
    for start in range(0, len(held), _OTHERS_AT_ONCE):
        for begin, distances in _distances(queries, held[start : start + _OTHERS_AT_ONCE]):
            chunk = slice(begin, begin + len(distances))
            nearest[chunk] = np.minimum(nearest[chunk], distances.min(axis=1))
    return float(nearest.mean())


def _sums(rows: Vectors, of: Labels, *, labels: int) -> _Sums:
    x = rows.astype(np.float64)
    count, energy, total = np.zeros(labels), np.zeros(labels), np.zeros((labels, rows.shape[1]))
    np.add.at(count, of, 1)
    np.add.at(energy, of, (x**2).sum(axis=1))
    np.add.at(total, of, x)
    return _Sums(count, energy, total)


def _distances(a: Vectors, x: Vectors) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Squared distances `[rows, X]` of a few rows of `a` at a time, with the first one's number."""
    others = x.astype(np.float64)
    energy = (others**2).sum(axis=1)
    for begin in range(0, len(a), _ROWS_AT_ONCE):
        rows = a[begin : begin + _ROWS_AT_ONCE].astype(np.float64)
        distances = (rows**2).sum(axis=1)[:, None] + energy - 2 * rows @ others.T
        yield begin, np.maximum(distances, 0, out=distances)


def _require(pairs: float, said: str) -> None:
    if pairs <= 0:
        raise InvalidConfiguration(f"{said}: add photographs, or choose another data set")
