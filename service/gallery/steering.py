"""What an operator decides about published spaces: which generation is live, which space goes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lorgnette.errors import Conflict, InvalidGallery, NotFound
from lorgnette.text import quoted
from service.gallery import generations
from service.gallery.catalogue import Catalogue
from service.gallery.files import writer_lock
from service.gallery.generations import GenerationManifest
from service.gallery.records import Stale
from service.gallery.statements import next_seq, now

_AT_ONCE = 10_000


def listed(data: Path) -> list[tuple[GenerationManifest, bool]]:
    """The readable generations, newest first, and whether each is the live one of its space."""
    current = generations.read_current(data)
    found: list[tuple[GenerationManifest, bool]] = []
    for number in reversed(generations.published(data)):
        try:
            manifest = generations.read_manifest(generations.directory_of(data, number))
        except InvalidGallery:
            continue
        found.append((manifest, current.get(manifest.space.id) == number))
    return found


def promote(
    catalogue: Catalogue, data: Path, number: int, *, expected: str | None
) -> GenerationManifest:
    """Make an older (or newer) generation the live one of its space, after checking its files.

    expected: the etag of `CURRENT` the caller saw; None does not ask. What was written after the
    generation is still found: it comes from the catalogue.

    Raises `NotFound`, `Stale` when another one went live meanwhile, `GalleryBusy`,
    `InvalidGallery` for one that is damaged or belongs to another catalogue.
    """
    if number not in generations.published(data):
        there = ", ".join(map(str, generations.published(data))) or "none"
        raise NotFound(f"there is no generation {number} here, only {there}")
    with writer_lock(data):
        if expected is not None and expected != generations.etag_of(data):
            raise Stale(
                "another generation went live since you looked: GET /admin/generations again, "
                "and send the ETag it answers with"
            )
        manifest = generations.verify(generations.directory_of(data, number))
        if manifest.space not in catalogue.spaces():
            raise Conflict(
                f"generation {number} is of space {manifest.space.id}, which is retired: reindex "
                "with that space's teacher to have it back"
            )
        if manifest.seq > catalogue.seq():
            raise InvalidGallery(
                f"generation {number} knows later writes than this catalogue, so it belongs to "
                "another one: promote an older one, or build anew with `lorgnette reindex`"
            )
        return generations.promote(data, number)


def retire(catalogue: Catalogue, data: Path, space_id: str) -> None:
    """Let a space go: it is dark at once, then its vectors and generations are removed.

    Interrupted, the same call goes on. Raises `NotFound`, `Conflict` for the last live space,
    `GalleryBusy` while somebody is indexing.
    """
    with writer_lock(data):
        if space_id not in {space.id for space in catalogue.spaces()} | _half_gone(catalogue, data):
            raise NotFound(f"there is no space {quoted(space_id)} here: GET /spaces lists them")
        others = set(generations.read_current(data)) - {space_id}
        if not others:
            raise Conflict(
                f"{space_id} is the last live space, without which nothing is found: first "
                "reindex with the teacher that replaces it"
            )
        generations.withdraw(data, space_id)
        with catalogue.writing() as connection:
            next_seq(connection)
            connection.execute("UPDATE spaces SET retired_at = ? WHERE id = ?", (now(), space_id))
            connection.execute("DELETE FROM alignments WHERE space = ?", (space_id,))
        _remove_vectors(catalogue, space_id)
        _remove_generations(data, space_id)


def _half_gone(catalogue: Catalogue, data: Path) -> set[str]:
    """Retired spaces that still have vectors or generations: a retirement that was interrupted."""
    with catalogue.reading() as connection:
        rows = connection.execute(
            "SELECT id, EXISTS (SELECT 1 FROM vectors WHERE space = id) FROM spaces"
            " WHERE retired_at IS NOT NULL"
        ).fetchall()
    return {
        space_id for space_id, has_vectors in rows if has_vectors or _generations(data, space_id)
    }


def _remove_vectors(catalogue: Catalogue, space_id: str) -> None:
    """By parts, so that nobody else's write waits long."""
    removed = _AT_ONCE
    while removed == _AT_ONCE:
        with catalogue.writing() as connection:
            removed = connection.execute(
                "DELETE FROM vectors WHERE space = ? AND key IN"
                " (SELECT key FROM vectors WHERE space = ? LIMIT ?)",
                (space_id, space_id, _AT_ONCE),
            ).rowcount


def _remove_generations(data: Path, space_id: str) -> None:
    for directory in _generations(data, space_id):
        generations.discard(directory)


def _generations(data: Path, space_id: str) -> list[Path]:
    """The directories of a space's readable generations."""
    found: list[Path] = []
    for number in generations.published(data):
        directory = generations.directory_of(data, number)
        with suppress(InvalidGallery):
            if generations.read_manifest(directory).space.id == space_id:
                found.append(directory)
    return found
