"""Snapshots: the whole gallery at one moment, beside the live one, and the way back to it.

    snapshots/<name>/manifest.json       what it holds, and the sha256 of every other file
    snapshots/<name>/catalogue.sqlite    copied by SQLite in one transaction, while writes go on
    snapshots/<name>/CURRENT
    snapshots/<name>/generations/<n>/…   the live ones, as links: they never change
                                         (none of Milvus, where a copy would share a collection)
    snapshots/<name>/sources/ab/ab34…    the photographs that came over HTTP, as links

A directory appears whole or not at all. Copied elsewhere it is a backup.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorgnette import durable
from lorgnette._faults import first_fault
from lorgnette.bundle import sha256_of
from lorgnette.errors import Conflict, InvalidGallery, InvalidRequest, NotFound
from lorgnette.manifest import Sha256
from lorgnette.text import quoted
from service.gallery import generations
from service.gallery.catalogue import CATALOGUE_NAME, Catalogue
from service.gallery.files import disk_errors, writer_lock
from service.gallery.sealed import BrokenSeal, seal, unseal
from service.gallery.sources import SOURCES_NAME
from service.gallery.statements import now

SNAPSHOTS_NAME = "snapshots"
MANIFEST_NAME = "manifest.json"

_ANOTHER = "use another snapshot, or a copy of this one"

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_HELD = (
    rf"{re.escape(CATALOGUE_NAME)}|{generations.CURRENT_NAME}"
    rf"|{generations.GENERATIONS_NAME}/[1-9][0-9]*/(manifest\.json|index\.faiss|keys\.npy)"
    rf"|{SOURCES_NAME}/[0-9a-f]{{2}}/[0-9a-f]{{64}}"
)
Held = Annotated[str, Field(pattern=f"^({_HELD})$")]


class SnapshotFile(BaseModel):
    """One file of a snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class SnapshotManifest(BaseModel):
    """`manifest.json` of a snapshot. seq: the last write it holds; items: how many are live."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1]
    name: str
    created_at: str
    seq: Annotated[int, Field(ge=0)]
    items: Annotated[int, Field(ge=0)]
    files: dict[Held, SnapshotFile]

    @property
    def total_bytes(self) -> int:
        """Of all its files, links included."""
        return sum(entry.bytes for entry in self.files.values())


def directory_of(data: Path, name: str) -> Path:
    """Where a snapshot of that name lives. Raises `InvalidRequest` for a name that may be none."""
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise InvalidRequest(
            f"name: expected 1 to 64 letters, digits, - or _, found {quoted(name)}"
        )
    return data / SNAPSHOTS_NAME / name


def create(catalogue: Catalogue, data: Path, *, name: str | None = None) -> SnapshotManifest:
    """Take a snapshot of this moment; writes and searches go on. Its name: the time, by default.

    Raises `Conflict` for a name that is taken, `GalleryBusy` while somebody is indexing,
    `DiskFull`; then nothing is left of it.
    """
    chosen = name if name is not None else datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    final = directory_of(data, chosen)
    building = final.with_name(f".{chosen}.building")
    with writer_lock(data), disk_errors(data):
        if final.exists():
            raise Conflict(f"there is a snapshot {chosen!r} already: choose another name")
        _sweep(final.parent)
        building.mkdir(parents=True)
        try:
            manifest = _filled(building, catalogue, data, name=chosen)
            durable.write_synced(building / MANIFEST_NAME, seal(manifest.model_dump_json()))
            for folder in [path for path in building.rglob("*") if path.is_dir()]:
                durable.sync(folder)
            durable.sync(building)
            building.rename(final)
            durable.sync(final.parent)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    return manifest


def listed(data: Path) -> list[SnapshotManifest]:
    """The readable snapshots, newest first."""
    folder = data / SNAPSHOTS_NAME
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found: list[SnapshotManifest] = []
    for name in names:
        if re.fullmatch(NAME_PATTERN, name) is not None:
            with suppress(InvalidGallery):
                found.append(read_manifest(folder / name))
    return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)


def read_manifest(directory: Path) -> SnapshotManifest:
    """What a snapshot says it holds. Raises `InvalidGallery`."""
    path = directory / MANIFEST_NAME
    try:
        return SnapshotManifest.model_validate_json(unseal(path.read_bytes()))
    except OSError as error:
        raise InvalidGallery(f"{path} cannot be read ({error.strerror}): {_ANOTHER}") from error
    except ValidationError as error:
        raise InvalidGallery(
            f"{path} is damaged or of another version ({first_fault(error).why}): {_ANOTHER}"
        ) from error
    except BrokenSeal as error:
        raise InvalidGallery(f"{path} is damaged ({error}): {_ANOTHER}") from error


def verified(data: Path, name: str) -> SnapshotManifest:
    """Check every file of a snapshot. Raises `NotFound`, `InvalidGallery` naming the bad file."""
    directory = present(data, name)
    manifest = read_manifest(directory)
    for path, entry in manifest.files.items():
        file = directory / path
        try:
            is_right = not file.is_symlink() and (file.stat().st_size, sha256_of(file)) == (
                entry.bytes,
                entry.sha256,
            )
        except OSError as error:
            raise InvalidGallery(f"{file} cannot be read ({error.strerror}): {_ANOTHER}") from error
        if not is_right:
            raise InvalidGallery(
                f"{file} is not the file its snapshot describes: nothing was restored; {_ANOTHER}"
            )
    if not {CATALOGUE_NAME, generations.CURRENT_NAME} <= manifest.files.keys():
        raise InvalidGallery(
            f"{directory / MANIFEST_NAME} names no catalogue, so it is no snapshot: {_ANOTHER}"
        )
    return manifest


def delete(data: Path, name: str) -> None:
    """Remove a snapshot, also a damaged one; the gallery keeps whatever it shares with it.

    Its name goes in one step, so that nobody restores half of it; a crash after that leaves what
    the next snapshot or deletion sweeps away. Raises `InvalidRequest`, `NotFound`, `GalleryBusy`
    while somebody is indexing, taking or restoring one.
    """
    directory_of(data, name)
    with writer_lock(data), disk_errors(data):
        directory = present(data, name)
        _sweep(directory.parent)
        directory.rename(directory.with_name(f".{name}.deleting"))
        durable.sync(directory.parent)
        _sweep(directory.parent)


def present(data: Path, name: str) -> Path:
    """A snapshot's directory. Raises `NotFound`, `InvalidRequest`."""
    directory = directory_of(data, name)
    if not directory.is_dir():
        there = ", ".join(manifest.name for manifest in listed(data))
        raise NotFound(
            f"there is no snapshot {name!r} in {data / SNAPSHOTS_NAME}, "
            f"{f'only {there}' if there else 'nor any other'}"
        )
    return directory


def _sweep(folder: Path) -> None:
    """Remove what was begun or doomed when a process died. The caller holds the writer lock."""
    for pattern in (".*.building", ".*.deleting"):
        for path in folder.glob(pattern):
            # An operator may have linked a backup in: its files are not ours to remove.
            if path.is_symlink():
                path.unlink()
            else:
                shutil.rmtree(path)


def link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
        durable.sync(target)


def _filled(building: Path, catalogue: Catalogue, data: Path, *, name: str) -> SnapshotManifest:
    """Fill the directory. The caller holds the writer lock, so no generation comes or goes."""
    current = _current_here(data)
    copy = building / CATALOGUE_NAME
    sources, seq, items = _copy_catalogue(catalogue, copy)
    generations.write_current(building, current)
    for number in current.values():
        for path in generations.directory_of(data, number).iterdir():
            link(path, building / generations.GENERATIONS_NAME / str(number) / path.name)
    for source in sources:
        if (data / source).is_file():
            link(data / source, building / source)
    held = sorted(path for path in building.rglob("*") if path.is_file())
    return SnapshotManifest(
        schema_version=1,
        name=name,
        created_at=now(),
        seq=seq,
        items=items,
        files={
            path.relative_to(building).as_posix(): SnapshotFile(
                sha256=sha256_of(path), bytes=path.stat().st_size
            )
            for path in held
        },
    )


def _current_here(data: Path) -> dict[str, int]:
    """What is live, without what is a collection in Milvus: the next reindex builds that again."""
    return {
        space_id: number
        for space_id, number in generations.read_current(data).items()
        if not (generations.directory_of(data, number) / generations.MILVUS_NAME).exists()
    }


def _copy_catalogue(catalogue: Catalogue, target: Path) -> tuple[list[str], int, int]:
    """Copy it in one transaction. Returns the sources it names, its seq and its live items."""
    with closing(sqlite3.connect(target)) as copy:
        catalogue.copy_into(copy)
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        sources = copy.execute(
            "SELECT DISTINCT source FROM items WHERE NOT deleted AND source GLOB ?",
            (f"{SOURCES_NAME}/*",),
        ).fetchall()
        (seq,) = copy.execute("SELECT seq FROM state").fetchone()
        (items,) = copy.execute("SELECT count(*) FROM items WHERE NOT deleted").fetchone()
    target.chmod(0o444)
    durable.sync(target)
    return [source for (source,) in sources], int(seq), int(items)
