"""Rows computed once and kept: written by shards, read memory-mapped, bound to their maker."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from lorgnette._faults import first_fault
from lorgnette.errors import InvalidConfiguration
from training.files import sha256_of, write_atomically
from training.schema import Frozen

SHARD_ROWS = 512
MOST_MAPPED = 256
"""Each mapped shard holds a file open, and many systems allow a process 1,024 of them."""
BINDING_NAME = "binding.json"


class Binding(Frozen):
    """What the rows are of: which network made them, and from which views.

    network_sha256: of the weights and the preprocessing.  views_sha256: of the photographs' bytes
    and the way they are cropped.  count, dim: the array's shape.
    """

    kind: Literal["embedding", "pooled", "maps"]
    network_sha256: str
    views_sha256: str
    count: int
    dim: int
    dtype: Literal["float16", "float32"]


def shared_place(directory: Path, binding: Binding) -> Path:
    """The directory inside `directory` for rows of this binding, and of no other."""
    digest = sha256_of(binding.model_dump_json().encode())
    return directory / f"{binding.kind}-{digest[:16]}"


class RowCache:
    """`[count, dim]` rows in a directory, in shards of `SHARD_ROWS`, each whole or absent."""

    def __init__(self, directory: Path, binding: Binding) -> None:
        """Open or begin a cache.

        Raises `InvalidConfiguration` when the directory holds rows of another network or views.
        """
        self.directory = directory
        self.binding = binding
        self._maps: dict[int, NDArray[np.floating]] = {}
        path = directory / BINDING_NAME
        if not path.exists():
            write_atomically(path, (binding.model_dump_json(indent=2) + "\n").encode())
        found = _read_binding(path)
        if found != binding:
            wanted = binding.model_dump()
            other = [key for key, value in found.model_dump().items() if value != wanted[key]]
            raise InvalidConfiguration(
                f"{directory} holds cached rows of another experiment ({', '.join(other)} differ): "
                "delete that directory or choose another --out"
            )

    def missing(self) -> Iterator[tuple[int, int]]:
        """The (first, last + 1) of each shard not yet written, in order."""
        for first in range(0, self.binding.count, SHARD_ROWS):
            if not self._path(first).exists():
                yield first, min(first + SHARD_ROWS, self.binding.count)

    def done(self) -> int:
        """How many rows are written."""
        return self.binding.count - sum(last - first for first, last in self.missing())

    def put(self, first: int, rows: NDArray[np.floating]) -> None:
        """Write the shard `[rows, dim]` that starts at row `first`, whole or not at all."""
        expected = (self._rows_of(first), self.binding.dim)
        assert rows.shape == expected, (rows.shape, expected)
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(rows, dtype=self.binding.dtype))
        write_atomically(self._path(first), content.getvalue())

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows `[N, dim]` float32 by number; all their shards are written."""
        gathered = np.empty((len(numbers), self.binding.dim), dtype=np.float32)
        shards = numbers // SHARD_ROWS
        for shard in np.unique(shards):
            chosen = shards == shard
            gathered[chosen] = self._mapped(int(shard))[numbers[chosen] % SHARD_ROWS]
        return gathered

    def shards(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All rows in order, a shard at a time: numbers `[n]` and rows `[n, dim]` float32."""
        for first in range(0, self.binding.count, SHARD_ROWS):
            rows = np.asarray(self._mapped(first // SHARD_ROWS), dtype=np.float32)
            yield np.arange(first, first + len(rows), dtype=np.int64), rows

    def _mapped(self, shard: int) -> NDArray[np.floating]:
        mapped = self._maps.get(shard)
        if mapped is None:
            first = shard * SHARD_ROWS
            mapped = _open_shard(self._path(first), self.binding, rows=self._rows_of(first))
            while len(self._maps) >= MOST_MAPPED:
                self._maps.pop(next(iter(self._maps)), None)
            self._maps[shard] = mapped
        return mapped

    def _rows_of(self, first: int) -> int:
        return min(SHARD_ROWS, self.binding.count - first)

    def _path(self, first: int) -> Path:
        return self.directory / f"rows-{first:09d}.npy"


def _read_binding(path: Path) -> Binding:
    try:
        return Binding.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = first_fault(error) if isinstance(error, ValidationError) else error
        raise InvalidConfiguration(
            f"{path} does not describe cached rows ({why}): delete its directory"
        ) from error


def _open_shard(path: Path, binding: Binding, *, rows: int) -> NDArray[np.floating]:
    try:
        mapped: NDArray[np.floating] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InvalidConfiguration(
            f"{path} is damaged ({error}): delete it and run again"
        ) from error
    if mapped.shape != (rows, binding.dim) or mapped.dtype != binding.dtype:
        raise InvalidConfiguration(
            f"{path} holds {mapped.dtype} {list(mapped.shape)}, expected {binding.dtype} "
            f"{[rows, binding.dim]}: delete it and run again"
        )
    return mapped


def views_sha256(photographs_sha256: str, crops: BaseModel) -> str:
    """sha256 of which photographs are shown and how they are cropped."""
    record = {"photographs": photographs_sha256, "crops": crops.model_dump(mode="json")}
    return sha256_of(json.dumps(record, sort_keys=True).encode())
