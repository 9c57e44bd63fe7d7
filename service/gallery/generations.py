"""Published indexes: immutable directories, and `CURRENT`, which names the live one of each space.

    generations/<n>/manifest.json    what it holds, and the sha256 of every other file
    generations/<n>/index.faiss      positions 0 … count - 1; or index.milvus, which says where
    generations/<n>/keys.npy         `[count]` int64: position -> item key, ascending
    CURRENT                          {space id: n}

The manifest and `CURRENT` are sealed (`sealed.py`), so that no changed digit is believed.

Nothing here opens a published file for writing: truncating a mapped index kills its readers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lorgnette import durable
from lorgnette.bundle import sha256_of
from lorgnette.errors import InvalidGallery
from lorgnette.manifest import Sha256, Space
from service.gallery import faiss_index, files, milvus
from service.gallery.index import Index
from service.gallery.records import Keys
from service.gallery.sealed import BrokenSeal, seal, unseal

CURRENT_NAME = "CURRENT"
GENERATIONS_NAME = "generations"
INDEX_NAME: Final = "index.faiss"
MILVUS_NAME: Final = "index.milvus"
KEYS_NAME: Final = "keys.npy"
MANIFEST_NAME = "manifest.json"

AUTO = "auto"
"""The factory that is chosen from what there is to hold: `service/gallery/auto.py`."""

log = logging.getLogger(__name__)

FileName = Literal["index.faiss", "index.milvus", "keys.npy"]

_CURRENT = TypeAdapter(dict[str, Annotated[int, Field(ge=1)]])


class GenerationFile(BaseModel):
    """One file of a generation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: Sha256
    bytes: Annotated[int, Field(ge=1)]


class Trial(BaseModel):
    """One way of searching that was measured. p50_ms: of one query at a time, by one thread."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    factory: str
    probes: int | None
    k_factor: float | None
    recall_at_10: float
    p50_ms: float


class Tuning(BaseModel):
    """How `auto` came to the factory. trials: what held the gate, and the best of what did not;
    the last one was chosen. budget_bytes: what the index was allowed to take in memory."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    recall_gate: float
    budget_bytes: int
    trials: tuple[Trial, ...]


class GenerationManifest(BaseModel):
    """`manifest.json` of a generation.

    seq: it holds the space as it was after this write. recall_at_10: measured against exact
    search before it was published, on the gallery's own vectors. tuning: of one that was asked
    for as "auto".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1]
    generation: Annotated[int, Field(ge=1)]
    space: Space
    count: Annotated[int, Field(ge=1)]
    seq: Annotated[int, Field(ge=1)]
    factory: str
    recall_at_10: float
    created_at: str
    tuning: Tuning | None = None
    files: Annotated[dict[FileName, GenerationFile], Field(min_length=2)]

    @property
    def asked(self) -> str:
        """The factory as it was asked for: the one to build the next generation by."""
        return self.factory if self.tuning is None else AUTO


@dataclass(frozen=True)
class Generation:
    """An opened generation. keys: position -> item key, ascending."""

    manifest: GenerationManifest
    index: Index
    keys: Keys

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Verify every file, then map the index.

        Raises `InvalidGallery` when anything is not what the manifest states; FAISS sees only
        bytes whose sha256 was right.
        """
        manifest = read_manifest(directory)
        for name, entry in manifest.files.items():
            _verify(directory / name, entry)
        index: Index
        if MILVUS_NAME in manifest.files:
            index = milvus.read(directory / MILVUS_NAME)
        else:
            index = faiss_index.read(directory / INDEX_NAME)
        keys = np.load(directory / KEYS_NAME, allow_pickle=False)
        expected = (manifest.count, manifest.count, manifest.space.dim)
        if keys.dtype != np.int64 or (len(keys), index.count, index.dim) != expected:
            raise InvalidGallery(
                f"{directory} holds {index.count} vectors of {index.dim} numbers and {len(keys)} "
                f"keys, its manifest states {manifest.count} of {manifest.space.dim}: "
                "build it again with `lorgnette reindex`"
            )
        return cls(manifest=manifest, index=index, keys=keys)


def directory_of(data: Path, generation: int) -> Path:
    """Where a published generation lives."""
    return data / GENERATIONS_NAME / str(generation)


def read_manifest(directory: Path) -> GenerationManifest:
    """Read a generation's manifest. Raises `InvalidGallery`."""
    path = directory / MANIFEST_NAME
    try:
        return GenerationManifest.model_validate_json(unseal(path.read_bytes()))
    except OSError as error:
        raise InvalidGallery(
            f"{path} cannot be read ({error.strerror}): build it again with `lorgnette reindex`"
        ) from error
    except ValidationError as error:
        raise InvalidGallery(
            f"{path} is damaged or of another version ({error.errors()[0]['msg']}): "
            "build it again with `lorgnette reindex`"
        ) from error
    except BrokenSeal as error:
        raise InvalidGallery(
            f"{path} is damaged ({error}): build it again with `lorgnette reindex`"
        ) from error


def read_current(data: Path) -> dict[str, int]:
    """The live generation of each space; none yet is an empty dict. Raises `InvalidGallery`."""
    path = data / CURRENT_NAME
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidGallery(
            f"{path} cannot be read ({error.strerror}): check its owner and permissions"
        ) from error
    try:
        return _CURRENT.validate_json(unseal(text), strict=True)
    except (ValidationError, BrokenSeal) as error:
        raise InvalidGallery(
            f"{path} is damaged ({len(text)} bytes, expected JSON naming a generation by space): "
            "delete it, which loses nothing, and run `lorgnette index` or `reindex`"
        ) from error


def etag_of(data: Path) -> str:
    """What names the present content of `CURRENT`; another one after every promotion."""
    current = json.dumps(read_current(data), sort_keys=True)
    return hashlib.sha256(current.encode()).hexdigest()[:32]


def live_manifest(data: Path, space_id: str) -> GenerationManifest | None:
    """The manifest of a space's live generation; None when nothing is published yet."""
    generation = read_current(data).get(space_id)
    return None if generation is None else read_manifest(directory_of(data, generation))


def published(data: Path) -> tuple[int, ...]:
    """Numbers of the generations on disk, ascending; whatever else lies there is ignored."""
    folder = data / GENERATIONS_NAME
    if not folder.is_dir():
        return ()
    names = (path.name for path in folder.iterdir())
    return tuple(sorted(int(name) for name in names if re.fullmatch(r"[1-9][0-9]*", name)))


def promote(data: Path, generation: int) -> GenerationManifest:
    """Make a published generation the live one of its space: publishing, and rolling back.

    What was written after its `seq` is still found: it comes from the catalogue. The caller holds
    the writer lock. Raises `InvalidGallery` when the generation cannot be read.
    """
    manifest = read_manifest(directory_of(data, generation))
    write_current(data, read_current(data) | {manifest.space.id: generation})
    if MILVUS_NAME in manifest.files:
        milvus.point(directory_of(data, generation) / MILVUS_NAME, manifest.space)
    return manifest


def verify(directory: Path) -> GenerationManifest:
    """Check every file of a generation against its manifest, without opening the index.

    Raises `InvalidGallery` naming the file that is not what it was.
    """
    manifest = read_manifest(directory)
    for name, entry in manifest.files.items():
        _verify(directory / name, entry)
    return manifest


def discard(directory: Path) -> None:
    """Remove a generation that is not live. The caller holds the writer lock.

    Its name goes first, so that nobody opens half of it; who has it mapped keeps its pages.
    """
    if (directory / MILVUS_NAME).exists():
        milvus.drop(directory / MILVUS_NAME)
    doomed = directory.with_name(f".{directory.name}.building")
    shutil.rmtree(doomed, ignore_errors=True)
    directory.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def withdraw(data: Path, space_id: str) -> None:
    """Take a space out of `CURRENT`. The caller holds the writer lock."""
    current = read_current(data)
    if current.pop(space_id, None) is not None:
        write_current(data, current)


def disown(data: Path, *, seq: int) -> None:
    """Take out of `CURRENT` what is no projection of the catalogue, whose last write is `seq`.

    A generation that knows later writes was built from a catalogue that has since been deleted or
    exchanged for an older copy; one without a readable manifest cannot tell. Until the next one is
    published the space is searched from the catalogue. The caller holds the writer lock.
    """
    current = read_current(data)
    kept = {}
    for space_id, number in current.items():
        try:
            if read_manifest(directory_of(data, number)).seq <= seq:
                kept[space_id] = number
        except InvalidGallery as error:
            log.warning("generation %d is built anew: %s", number, error)
    if kept != current:
        write_current(data, kept)


def write_current(data: Path, current: dict[str, int]) -> None:
    """Replace `CURRENT` in one step. The caller holds the writer lock. Raises `DiskFull`."""
    with files.disk_errors(data):
        durable.replace_file(data / CURRENT_NAME, seal(json.dumps(current, sort_keys=True)))


def _verify(path: Path, entry: GenerationFile) -> None:
    try:
        size, digest = path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise InvalidGallery(
            f"{path} cannot be read ({error.strerror}): build it again with `lorgnette reindex`"
        ) from error
    if size != entry.bytes or digest != entry.sha256:
        raise InvalidGallery(
            f"{path} is not the file its manifest describes (expected {entry.bytes} bytes, sha256 "
            f"{entry.sha256[:12]}…; found {size} bytes, {digest[:12]}…): build it again with "
            "`lorgnette reindex`"
        )
