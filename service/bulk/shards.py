"""What a bulk embedding leaves: shards of rows that prove themselves, and what they are of.

    manifest.json     space, teacher, photographs, sizes: sealed
    00000.npy         `[n, D]` float32 unit rows
    00000.json        their ids, what was skipped and why, the sha256 of the rows: sealed

A shard exists once its JSON does, which is written last. The same photographs and teacher give
the same files, byte for byte, whichever engine wrote them on the same kind of processor.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorgnette import durable
from lorgnette.errors import InvalidConfiguration, InvalidGallery, InvalidInput
from lorgnette.manifest import Sha256, Space
from lorgnette.vectors import Vectors
from service.embedding import Embedded
from service.gallery.files import disk_errors
from service.gallery.scan import Photograph, Skipped
from service.gallery.sealed import seal, unseal

MANIFEST_NAME = "manifest.json"

_SMALLEST, _LARGEST, _WANTED = 16, 256, 64


class BulkManifest(BaseModel):
    """What the shards are of. photographs: sha256 over ids, sizes and times of change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1] = 1
    space: Space
    teacher: str
    teacher_sha256: Sha256
    photographs: Sha256
    count: Annotated[int, Field(ge=1)]
    per_shard: Annotated[int, Field(ge=1)]

    @property
    def shards(self) -> int:
        """How many there are when all is done."""
        return -(-self.count // self.per_shard)


class ShardManifest(BaseModel):
    """One shard. ids: of its rows, in order; skipped: id and reason of the unreadable."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ids: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    rows: Sha256


@dataclass(frozen=True)
class Embedding:
    """All shards together. rows: `[N, D]` float32 unit rows of the space, `rows[i]` of `ids[i]`."""

    space: Space
    ids: tuple[str, ...]
    rows: Vectors
    skipped: tuple[Skipped, ...]


def per_shard(count: int) -> int:
    """Photographs in a shard: by the count alone, so that every engine cuts alike."""
    return max(_SMALLEST, min(_LARGEST, count // _WANTED))


def digest_of(photographs: Sequence[Photograph]) -> str:
    """What changes when a photograph is added, removed, renamed or written anew."""
    digest = hashlib.sha256()
    for photo in photographs:
        digest.update(f"{photo.id}\0{photo.stamp.size}\0{photo.stamp.mtime_ns}\0".encode())
    return digest.hexdigest()


def enter(out: Path, manifest: BulkManifest) -> None:
    """Begin, or go on with, this embedding in a directory.

    Raises `InvalidConfiguration` when it holds another one, `DiskFull`.
    """
    path = out / MANIFEST_NAME
    if not path.exists():
        with disk_errors(out):
            durable.replace_file(path, seal(manifest.model_dump_json()))
        return
    held = _manifest(path)
    if held != manifest:
        names = type(manifest).model_fields
        other = [name for name in names if getattr(held, name) != getattr(manifest, name)]
        raise InvalidConfiguration(
            f"{out} holds another embedding ({', '.join(other)} differ): choose another --out, or "
            "remove it"
        )


def write(
    out: Path, shard: int, rows: Vectors, ids: Sequence[str], skipped: Sequence[Skipped]
) -> None:
    """Write a shard: the rows, then what makes them count. Raises `DiskFull`."""
    buffer = io.BytesIO()
    np.save(buffer, rows)
    content = buffer.getvalue()
    manifest = ShardManifest(
        ids=tuple(ids),
        skipped=tuple((entry.name, entry.reason) for entry in skipped),
        rows=hashlib.sha256(content).hexdigest(),
    )
    with disk_errors(out):
        durable.replace_file(out / f"{shard:05}.npy", content)
        durable.replace_file(out / f"{shard:05}.json", seal(manifest.model_dump_json()))


def lacking(out: Path, manifest: BulkManifest) -> list[int]:
    """The shards that are not there, or not whole."""
    return [shard for shard in range(manifest.shards) if not _is_whole(out, shard)]


def _is_whole(out: Path, shard: int) -> bool:
    try:
        _read(out, shard)
    except InvalidGallery:
        return False
    return True


def read(out: Path) -> Embedding:
    """Read all shards, each against its sha256. Raises `InvalidGallery` naming one that is not."""
    manifest = _manifest(out / MANIFEST_NAME)
    parts = [_read(out, shard) for shard in range(manifest.shards)]
    return Embedding(
        space=manifest.space,
        ids=tuple(name for part, _ in parts for name in part.ids),
        rows=np.concatenate([rows for _, rows in parts]),
        skipped=tuple(Skipped(*entry) for part, _ in parts for entry in part.skipped),
    )


def rows_for(out: Path, photographs: Sequence[Photograph], space: Space) -> dict[str, Embedded]:
    """The row `[D]` of each of these very photographs, by id, or why it has none.

    Raises `InvalidConfiguration` when the shards are of other photographs or of another space,
    `InvalidGallery` when they are damaged or not finished.
    """
    manifest = _manifest(out / MANIFEST_NAME)
    if manifest.space != space:
        raise InvalidConfiguration(
            f"{out} holds vectors of space {manifest.space.id}, the teacher speaks {space.id}: "
            "give the teacher they were made with"
        )
    if manifest.photographs != digest_of(photographs):
        raise InvalidConfiguration(
            f"{out} holds the vectors of other photographs than are there now (some were added, "
            "removed or changed, or --prefix differs): embed them into another directory first"
        )
    held = read(out)
    found: dict[str, Embedded] = dict(zip(held.ids, held.rows, strict=True))
    return found | {entry.name: InvalidInput(entry.reason) for entry in held.skipped}


def _manifest(path: Path) -> BulkManifest:
    try:
        return BulkManifest.model_validate_json(unseal(path.read_bytes()))
    except (OSError, ValidationError, InvalidGallery) as error:
        raise InvalidGallery(
            f"{path} is not the manifest of a bulk embedding ({_reason(error)}): choose another "
            "directory, or embed anew with `lorgnette embed`"
        ) from error


def _read(out: Path, shard: int) -> tuple[ShardManifest, Vectors]:
    path = out / f"{shard:05}.npy"
    try:
        manifest = ShardManifest.model_validate_json(unseal(path.with_suffix(".json").read_bytes()))
        content = path.read_bytes()
    except (OSError, ValidationError, InvalidGallery) as error:
        raise InvalidGallery(
            f"shard {shard} of {out} is missing or damaged ({_reason(error)}): run the same "
            "`lorgnette embed` again"
        ) from error
    if hashlib.sha256(content).hexdigest() != manifest.rows:
        raise InvalidGallery(
            f"{path} is not what was written: run the same `lorgnette embed` again"
        )
    rows: Vectors = np.load(io.BytesIO(content), allow_pickle=False)
    return manifest, rows


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).partition("\n")[0]
