"""A public benchmark, and the three pairings of a teacher and a student measured on it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lorgnette.vectors import Vectors
from training.data.row_cache import RowCache
from training.evaluation.encoders import Origin, ShotEncoder, require_a_pair
from training.evaluation.judges import Judge, Section
from training.evaluation.names import Pairing
from training.evaluation.ranking import Ranking
from training.evaluation.shots import Shot
from training.evaluation.stored_rows import (
    RowStore,
    readable_chunks,
    require_files,
    unreadable,
    whole,
)
from training.files import sha256_of

Crops = Literal["cropped", "uncropped", "none"]

_HASH_DIGITS = 12
_WHITENING = "as folded into each model; student → teacher in the teacher's space"


@dataclass(frozen=True)
class Benchmark:
    """What is embedded and how it is judged.

    crops: queries cropped to the boxes of the ground truth, or not although there are boxes, or
    there are none.  distractors: photographs that answer no query.
    truth_sha256: of the ground truth.
    """

    name: str
    queries: tuple[Shot, ...]
    gallery: tuple[Shot, ...]
    distractors: tuple[Shot, ...]
    crops: Crops
    truth_sha256: str
    judge: Judge

    def protocol(self, preparations: Mapping[str, str]) -> dict[str, str | int]:
        """The conditions of a figure, with their hash: equal hashes may be compared.

        preparations: how each side's images reach its network.
        """
        conditions: dict[str, str | int] = {
            "name": self.name,
            "queries": len(self.queries),
            "gallery": len(self.gallery),
            "distractors": len(self.distractors),
            "crops": self.crops,
            "whitening": _WHITENING,
            "truth_sha256": self.truth_sha256,
            **{f"{side} images": preparation for side, preparation in preparations.items()},
        }
        digest = sha256_of(json.dumps(conditions, sort_keys=True).encode())
        return conditions | {"hash": digest[:_HASH_DIGITS]}


@dataclass(frozen=True)
class Measured:
    """One pairing: who asked whom, what was found, and how good that is."""

    asks: Origin
    holds: Origin
    ranking: Ranking
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class BenchmarkResult:
    """measured: by pairing.  unreadable_distractors: left out of all of them."""

    protocol: Mapping[str, str | int]
    measured: Mapping[Pairing, Measured]
    unreadable_distractors: int


@dataclass(frozen=True)
class _Side:
    """One model's rows of a benchmark."""

    origin: Origin
    queries: Vectors
    gallery: RowCache
    distractors: RowCache | None

    def noise(self) -> Iterable[Vectors]:
        return () if self.distractors is None else readable_chunks(self.distractors)


def measure_pair(
    benchmark: Benchmark, teacher: ShotEncoder, student: ShotEncoder, store: RowStore
) -> BenchmarkResult:
    """Embed everything with both and judge the three pairings.

    Raises, before anything is embedded, `SpaceMismatch` or `InvalidConfiguration` for models that
    are no pair; `InvalidDataset` when a photograph is missing or cannot be read.
    """
    require_a_pair(teacher.origin, student.origin)
    _require_files(benchmark)
    heavy = _embedded(benchmark, teacher, store)
    light = _embedded(benchmark, student, store)
    measured: dict[Pairing, Measured] = {
        "teacher_to_teacher": _judged(benchmark, heavy, heavy),
        "student_to_student": _judged(benchmark, light, light),
        "student_to_teacher": _judged(benchmark, light, heavy),
    }
    images = {
        "teacher": teacher.origin.preparation,
        "student": student.origin.preparation,
    }
    return BenchmarkResult(benchmark.protocol(images), measured, _unreadable(heavy))


def measure_one(benchmark: Benchmark, model: ShotEncoder, store: RowStore) -> BenchmarkResult:
    """Embed everything with one model, of either side, and judge it against itself.

    Raises `InvalidDataset` when a photograph is missing or cannot be read.
    """
    _require_files(benchmark)
    side = _embedded(benchmark, model, store)
    role: Pairing = "teacher_to_teacher" if model.origin.role == "gallery" else "student_to_student"
    images = {role.partition("_")[0]: model.origin.preparation}
    measured: dict[Pairing, Measured] = {role: _judged(benchmark, side, side)}
    return BenchmarkResult(benchmark.protocol(images), measured, _unreadable(side))


def _require_files(benchmark: Benchmark) -> None:
    for shots in (benchmark.queries, benchmark.gallery, benchmark.distractors):
        require_files(shots)


def _embedded(benchmark: Benchmark, encoder: ShotEncoder, store: RowStore) -> _Side:
    name = encoder.origin.name

    def rows(shots: tuple[Shot, ...], what: str) -> RowCache:
        return store.embed(encoder, shots, task=f"{what} with {name}")

    queries = whole(rows(benchmark.queries, "queries"), benchmark.queries)
    gallery = whole(rows(benchmark.gallery, "gallery"), benchmark.gallery)
    noise = rows(benchmark.distractors, "distractors") if benchmark.distractors else None
    asked = np.concatenate([part for _, part in queries.shards()])
    return _Side(encoder.origin, asked, gallery, noise)


def _judged(benchmark: Benchmark, asks: _Side, holds: _Side) -> Measured:
    gallery = (rows for _, rows in holds.gallery.shards())
    ranking = benchmark.judge.rank(asks.queries, gallery, holds.noise())
    return Measured(asks.origin, holds.origin, ranking, benchmark.judge.judge(ranking))


def _unreadable(side: _Side) -> int:
    return 0 if side.distractors is None else unreadable(side.distractors)
