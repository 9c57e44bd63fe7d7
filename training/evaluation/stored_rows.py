"""Photographs embedded once, by whoever embeds them: by shards, resumable, memory-mapped."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration, InvalidDataset, InvalidImage
from lorgnette.vectors import Vectors
from training.data.row_cache import Binding, RowCache
from training.evaluation.encoders import ShotEncoder, require_a_pair
from training.evaluation.shots import Shot
from training.files import sha256_of
from training.progress import progress_bar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowStore:
    """Where rows are kept, and how many photographs are embedded at once."""

    directory: Path
    workers: int

    def embed(self, encoder: ShotEncoder, shots: Sequence[Shot], *, task: str) -> RowCache:
        """Unit rows `[N, D]` float32; a photograph that cannot be read has a row of zeros.

        Interrupted and called again, it goes on.  The place is named by the encoder, its
        preparation and the photographs, so one directory serves many models and benchmarks.
        """
        binding = _binding(encoder, shots)
        name = sha256_of(binding.model_dump_json().encode())[:16]
        cache = RowCache(self.directory / name, binding)
        missing = list(cache.missing())
        with progress_bar() as bar, ThreadPoolExecutor(self.workers) as pool:
            number = bar.add_task(task, total=len(shots), completed=cache.done())
            for first, last in missing:
                rows = np.zeros((last - first, binding.dim), dtype=np.float32)
                embedded = pool.map(lambda shot: _row(encoder, shot), shots[first:last])
                for place, row in enumerate(embedded):
                    rows[place] = row
                    bar.advance(number)
                cache.put(first, rows)
        return cache


@dataclass(frozen=True, eq=False)
class SeenByBoth:
    """teacher, student: unit rows `[N, D]`.  is_read: bool `[N]`; the rows of the others are 0."""

    teacher: Vectors
    student: Vectors
    is_read: NDArray[np.bool_]


@contextmanager
def opened_store(directory: Path | None, *, workers: int) -> Iterator[RowStore]:
    """The place for rows; None: one that is gone after the block."""
    if directory is not None:
        yield RowStore(directory, workers)
        return
    with TemporaryDirectory(prefix="lorgnette-vectors-") as temporary:
        yield RowStore(Path(temporary), workers)


def see_with_both(
    teacher: ShotEncoder, student: ShotEncoder, paths: Sequence[Path], store: RowStore
) -> SeenByBoth:
    """Embed whole photographs with a teacher and its student; what cannot be read is left out.

    Raises, before anything is embedded, `SpaceMismatch` when the two speak different spaces and
    `InvalidConfiguration` when the teacher is a student; this also when nothing could be read.
    """
    require_a_pair(teacher.origin, student.origin)
    shots = [Shot(path, None) for path in paths]
    numbers = np.arange(len(shots), dtype=np.int64)
    heavy, light = (
        store.embed(encoder, shots, task=f"embedding with {encoder.origin.name}").rows(numbers)
        for encoder in (teacher, student)
    )
    is_read = ~(_is_zero(heavy) | _is_zero(light))
    if not is_read.any():
        raise InvalidConfiguration(f"none of the {len(shots)} photographs could be read")
    return SeenByBoth(heavy, light, is_read)


def require_files(shots: Sequence[Shot]) -> None:
    """Raise `InvalidDataset` when a photograph is missing."""
    missing = [shot.path for shot in shots if not shot.path.is_file()]
    if missing:
        raise InvalidDataset(
            f"{len(missing)} of {len(shots)} photographs are missing, the first is {missing[0]}: "
            "`lorgnette data check` says what the data set lacks"
        )


def whole(cache: RowCache, shots: Sequence[Shot]) -> RowCache:
    """The cache itself.  Raises `InvalidDataset` naming the first photograph not read."""
    broken = [shots[i].path for numbers, rows in cache.shards() for i in numbers[_is_zero(rows)]]
    if broken:
        raise InvalidDataset(
            f"{len(broken)} of the benchmark's {len(shots)} photographs cannot be read, the first "
            f"is {broken[0]}: a score without them would be another benchmark's; fetch them again"
        )
    return cache


def readable_chunks(cache: RowCache) -> Iterator[Vectors]:
    """Unit rows `[<= shard, D]` of the photographs that could be read, a shard at a time."""
    for _, rows in cache.shards():
        yield rows[~_is_zero(rows)]


def unreadable(cache: RowCache) -> int:
    """How many photographs could not be read."""
    return sum(int(_is_zero(rows).sum()) for _, rows in cache.shards())


def _is_zero(rows: Vectors) -> NDArray[np.bool_]:
    zero: NDArray[np.bool_] = np.logical_not(rows.any(axis=1))
    return zero


def _row(encoder: ShotEncoder, shot: Shot) -> Vectors | float:
    try:
        return encoder.encode(shot)
    except InvalidImage as error:
        log.warning("skipped %s: %s", shot.path, error)
        return 0.0


def _binding(encoder: ShotEncoder, shots: Sequence[Shot]) -> Binding:
    origin = encoder.origin
    network = json.dumps([origin.sha256, origin.preparation])
    return Binding(
        kind="embedding",
        network_sha256=sha256_of(network.encode()),
        views_sha256=_shots_sha256(shots),
        count=len(shots),
        dim=origin.space.dim,
        dtype="float32",
    )


def _shots_sha256(shots: Sequence[Shot]) -> str:
    """By name, length, time and box: to read a million photographs is half of embedding them."""
    record = [
        (str(shot.path), found.st_size, found.st_mtime_ns, shot.box and astuple(shot.box))
        for shot, found in ((shot, shot.path.stat()) for shot in shots)
    ]
    return sha256_of(json.dumps(record).encode())
