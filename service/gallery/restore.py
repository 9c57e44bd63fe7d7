"""The way back to a snapshot, which is verified before anything is replaced.

    verify → link what is missing → CURRENT empty → catalogue, in one transaction → CURRENT

At every arrow the gallery is whole: what it was, or what it is to be. While `CURRENT` is empty a
search reads the catalogue itself, slower and exactly. A restore that was interrupted is called
again.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from lorgnette import durable
from lorgnette.bundle import sha256_of
from service.gallery import backup, generations, schema
from service.gallery.answers import REINDEX_ROUTE
from service.gallery.backup import SnapshotManifest
from service.gallery.catalogue import CATALOGUE_NAME, Catalogue
from service.gallery.files import disk_errors, writer_lock
from service.gallery.sources import SOURCES_NAME

_PREPARED_NAME = ".restoring.sqlite"


def restore(catalogue: Catalogue, data: Path, name: str) -> SnapshotManifest:
    """Make the gallery what it was when the snapshot was taken; jobs and keys stay.

    A running service follows within a second. What was written since the snapshot is lost.

    Raises `NotFound`, `InvalidRequest`, `InvalidGallery` for a snapshot that is damaged,
    `GalleryBusy`, `DiskFull`; then nothing was replaced.
    """
    manifest = backup.verified(data, name)
    directory = backup.directory_of(data, name)
    prepared = data / _PREPARED_NAME
    with writer_lock(data), disk_errors(data):
        try:
            _prepare(directory / CATALOGUE_NAME, prepared, catalogue)
            _bring_back_sources(directory, manifest, data)
            generations.write_current(data, {})
            _bring_back_generations(directory, manifest, data)
            with closing(sqlite3.connect(prepared)) as content:
                catalogue.replace_by(content)
            current = generations.read_current(directory)
            generations.write_current(data, current)
            _remove_others(data, keep=set(current.values()))
        finally:
            prepared.unlink(missing_ok=True)
    return manifest


def _prepare(copy: Path, prepared: Path, catalogue: Catalogue) -> None:
    """A copy of the snapshot's catalogue that goes on where the live one is: the next epoch, no
    number used twice, and the jobs as they are known now."""
    shutil.copyfile(copy, prepared)
    with closing(schema.connect(prepared)) as connection:
        schema.prepare(connection, path=prepared)
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("ATTACH ? AS live", (str(catalogue.path),))
        with schema.transaction(connection):
            connection.execute(
                "UPDATE state SET epoch = 1 + (SELECT epoch FROM live.state),"
                " seq = 1 + max(seq, (SELECT seq FROM live.state))"
            )
            # A snapshot of an empty gallery has no row to update.
            (last,) = connection.execute(
                "SELECT max(seq) FROM (SELECT name, seq FROM main.sqlite_sequence UNION ALL"
                " SELECT name, seq FROM live.sqlite_sequence) WHERE name = 'items'"
            ).fetchone()
            connection.execute("DELETE FROM main.sqlite_sequence WHERE name = 'items'")
            connection.execute("INSERT INTO main.sqlite_sequence VALUES ('items', ?)", (last or 0,))
            _keep_jobs(connection)
        connection.execute("DETACH live")
        # One file, without a log beside it.
        connection.execute("PRAGMA journal_mode = DELETE")


def _keep_jobs(connection: sqlite3.Connection) -> None:
    """The jobs of `live`, and the answers to who started them: each is the id of its job."""
    connection.execute("DELETE FROM main.jobs")
    connection.execute("INSERT INTO main.jobs SELECT * FROM live.jobs")
    reindexes = (REINDEX_ROUTE,)
    connection.execute("DELETE FROM main.answers WHERE route = ?", reindexes)
    connection.execute(
        "INSERT INTO main.answers SELECT * FROM live.answers WHERE route = ?", reindexes
    )


def _bring_back_sources(directory: Path, manifest: SnapshotManifest, data: Path) -> None:
    for path in manifest.files:
        if path.startswith(SOURCES_NAME) and not (data / path).is_file():
            backup.link(directory / path, data / path)


def _bring_back_generations(directory: Path, manifest: SnapshotManifest, data: Path) -> None:
    """Under their numbers. One that meanwhile went to another generation is given back."""
    for number in generations.read_current(directory).values():
        final = generations.directory_of(data, number)
        held = f"{generations.GENERATIONS_NAME}/{number}/{generations.MANIFEST_NAME}"
        if final.is_dir():
            own = final / generations.MANIFEST_NAME
            if own.is_file() and sha256_of(own) == manifest.files[held].sha256:
                continue
            generations.discard(final)
        building = final.with_name(f".{number}.building")
        shutil.rmtree(building, ignore_errors=True)
        for path in (directory / held).parent.iterdir():
            backup.link(path, building / path.name)
        durable.sync(building)
        building.rename(final)
        durable.sync(final.parent)


def _remove_others(data: Path, *, keep: set[int]) -> None:
    """The generations of another history: they know writes that never happened."""
    for number in generations.published(data):
        if number not in keep:
            generations.discard(generations.directory_of(data, number))
