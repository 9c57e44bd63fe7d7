"""Filling a gallery: embed what is new, commit it in batches, publish a generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidConfiguration, InvalidInput
from lorgnette.manifest import Space
from service import defaults
from service.bulk import shards
from service.embedding import Embedded, embed_files, open_teacher
from service.gallery import footprint, generations, sources
from service.gallery.catalogue import Catalogue, require_gallery
from service.gallery.files import writer_lock
from service.gallery.footprint import kept_factory
from service.gallery.generations import AUTO, GenerationManifest
from service.gallery.publish import check_factory, publish
from service.gallery.records import Known, NewItem, Stamp
from service.gallery.scan import Photograph, Skipped, scan
from service.progress import Meter, Progress, Report, silent

_BATCH = 32


@dataclass(frozen=True)
class Options:
    """How to embed and build.

    threads: photographs embedded at once. factory: "auto", or a FAISS factory string; None keeps
    the live generation's, else "auto". recall_gate: recall@10 in [0, 1] below which nothing is
    published.
    """

    threads: int = 1
    factory: str | None = None
    recall_gate: float = defaults.RECALL_GATE
    report: Report = silent


_Embedded = tuple[Photograph, NDArray[np.float32]]


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    embedded: int
    unchanged: int
    skipped: tuple[Skipped, ...]
    is_new_generation: bool
    live: GenerationManifest


def index_folder(
    folder: Path,
    data: Path,
    teacher: Path,
    *,
    prefix: str = "",
    embedded: Path | None = None,
    options: Options = Options(),
) -> Summary:
    """Embed the new and changed photographs of a folder and publish a generation.

    embedded: shards of these very photographs (`service/bulk`), whose rows are taken instead.

    Photographs are acknowledged by batches: after a crash or Ctrl-C the same call goes on. One
    whose size and time of change are known is not read. A broken one is skipped and named.

    Raises `InvalidInput` for a folder of which nothing can be indexed, or whose photographs would
    take the ids of another folder's, `InvalidBundle` for a teacher that is none, `GalleryBusy`,
    `InvalidGallery`, `InvalidConfiguration`, `DiskFull`.
    """
    found = scan(folder, prefix=prefix)
    encoder = open_teacher(teacher)
    space = encoder.space
    _check(options, space)
    rows = {} if embedded is None else shards.rows_for(embedded, found.photographs, space)
    with _writing(data) as catalogue:
        known = {entry.id: entry for entry in catalogue.known(space.id)}
        todo = [photo for photo in found.photographs if not _is_done(known.get(photo.id), photo)]
        _refuse_takeover(folder, todo, known, data=data)
        write = partial(_write_items, catalogue, space)
        broken = _embed(encoder, todo, write=write, options=options, rows=rows)
        if len(broken) == len(found.photographs):
            raise InvalidInput(_none_readable(folder, broken))
        live, is_new = _publish_changes(catalogue, data, space, options=options)
    return Summary(
        embedded=len(todo) - len(broken),
        unchanged=len(found.photographs) - len(todo),
        skipped=(*found.skipped, *broken),
        is_new_generation=is_new,
        live=live,
    )


def reindex(
    data: Path,
    teacher: Path,
    *,
    options: Options = Options(),
) -> Summary:
    """Embed every item the teacher's space lacks from its source, and build a new generation.

    The new generation takes in the tail and drops what was deleted. A source that is gone, or is
    no longer the photograph that was indexed, is skipped and named. Acknowledged by batches, as
    `index_folder`, and raises the same.
    """
    require_gallery(data)
    encoder = open_teacher(teacher)
    space = encoder.space
    _check(options, space)
    with _writing(data) as catalogue:
        catalogue.enter(space)
        footprint.check(catalogue, data, space, factory=options.factory, process=0)
        embedded, skipped = _embed_lacking(catalogue, encoder, data, options=options)
        live = _publish(catalogue, data, space, options=options)
        sources.collect(catalogue)
    return Summary(
        embedded=embedded,
        unchanged=live.count - embedded,
        skipped=tuple(skipped),
        is_new_generation=True,
        live=live,
    )


def _embed_lacking(
    catalogue: Catalogue, encoder: Encoder, data: Path, *, options: Options
) -> tuple[int, list[Skipped]]:
    """Embed what the space lacks until it lacks nothing that can be had.

    Items that are written meanwhile, by somebody who had not yet seen the space, come in another
    round. Returns how many were embedded, and what cannot be.
    """
    space, embedded = encoder.space, 0
    skipped: dict[str, Skipped] = {}
    while True:
        lacking = {
            entry.id: entry
            for entry in catalogue.known(space.id)
            if not entry.has_vector and entry.id not in skipped
        }
        if not lacking:
            return embedded, list(skipped.values())
        found = [source_of(entry, data=data) for entry in lacking.values()]
        todo = [source for source in found if isinstance(source, Photograph)]
        gone = [source for source in found if isinstance(source, Skipped)]
        write = partial(_write_vectors, catalogue, space, lacking)
        broken = _embed(encoder, todo, write=write, options=options)
        skipped |= {entry.name: entry for entry in (*gone, *broken)}
        embedded += len(todo) - len(broken)


@contextmanager
def _writing(data: Path) -> Iterator[Catalogue]:
    """The catalogue, and the right to be the only one who indexes into it."""
    with closing(Catalogue.open(data)) as catalogue, writer_lock(data):
        generations.disown(data, seq=catalogue.seq())
        yield catalogue


def _check(options: Options, space: Space) -> None:
    """Refuse before the work what would be refused after it."""
    if not 0 <= options.recall_gate <= 1:
        raise InvalidConfiguration(
            f"expected a recall gate between 0 and 1, found {options.recall_gate}"
        )
    if options.threads < 1:
        raise InvalidConfiguration(f"expected one or more threads, found {options.threads}")
    if options.factory not in (None, AUTO):
        check_factory(options.factory, dim=space.dim)


def _embed(
    encoder: Encoder,
    todo: Sequence[Photograph],
    *,
    write: Callable[[Sequence[_Embedded]], None],
    options: Options,
    rows: Mapping[str, Embedded] = MappingProxyType({}),
) -> list[Skipped]:
    """Embed what `rows` lacks, write by batches. Returns the photographs that cannot be read."""
    broken: list[Skipped] = []
    batch: list[_Embedded] = []
    meter = Meter(options.report, stage="embedding", total=len(todo))
    paths = [photo.path for photo in todo]
    results = embed_files(encoder, paths, threads=options.threads)
    with closing((rows[photo.id] for photo in todo) if rows else results) as results:
        for photo, result in zip(todo, results, strict=True):
            if isinstance(result, InvalidInput):
                broken.append(Skipped(photo.id, str(result)))
            else:
                batch.append((photo, result))
            if len(batch) == _BATCH:
                write(batch)
                batch = []
            meter.advance()
    if batch:
        write(batch)
    return broken


def _publish_changes(
    catalogue: Catalogue, data: Path, space: Space, *, options: Options
) -> tuple[GenerationManifest, bool]:
    """Publish, unless the live generation is already what a new one would be."""
    live = generations.live_manifest(data, space.id)
    is_same_kind = live is not None and options.factory in (None, live.asked)
    if live is not None and is_same_kind and not catalogue.has_changes(space, since=live.seq):
        return live, False
    return _publish(catalogue, data, space, options=options), True


def _publish(
    catalogue: Catalogue, data: Path, space: Space, *, options: Options
) -> GenerationManifest:
    options.report(Progress(stage="building the index", done=0, total=0, rate=None, eta_s=None))
    return publish(
        catalogue,
        data,
        space,
        factory=options.factory or kept_factory(data, space),
        recall_gate=options.recall_gate,
        report=options.report,
    )


def _is_done(known: Known | None, photo: Photograph) -> bool:
    return (
        known is not None
        and known.has_vector
        and (known.source, known.stamp) == (str(photo.path), photo.stamp)
    )


def _refuse_takeover(
    folder: Path, todo: Sequence[Photograph], known: Mapping[str, Known], *, data: Path
) -> None:
    """Refuse photographs whose id already names one elsewhere, unless that one is gone."""
    root = folder.resolve()
    for photo in todo:
        entry = known.get(photo.id)
        if entry is None or not entry.source or entry.source == str(photo.path):
            continue
        held = data / entry.source
        if held.is_relative_to(root) or not held.exists() or held.samefile(photo.path):
            continue
        raise InvalidInput(
            f"{photo.id} already names {held}, which {photo.path} would replace: keep the folders "
            f"apart with --prefix {root.name or 'other'}, or choose another --data"
        )


def _write_items(catalogue: Catalogue, space: Space, batch: Sequence[_Embedded]) -> None:
    items = [
        NewItem(id=photo.id, source=str(photo.path), stamp=photo.stamp, metadata={}, vector=row)
        for photo, row in batch
    ]
    catalogue.upsert(space, items)


def _write_vectors(
    catalogue: Catalogue, space: Space, known: Mapping[str, Known], batch: Sequence[_Embedded]
) -> None:
    catalogue.add_vectors(space, [(known[photo.id], row) for photo, row in batch])


def source_of(entry: Known, *, data: Path) -> Photograph | Skipped:
    """The photograph an item was made from, if it still is that one.

    One that came over HTTP lies below the data directory under its sha256: its time says nothing.
    """
    if not entry.source:
        return Skipped(entry.id, "it was added as a vector, without a photograph: add it again")
    path = data / entry.source
    try:
        found = path.stat()
    except OSError as error:
        return Skipped(entry.id, f"{path}: {error.strerror}")
    mtime_ns = found.st_mtime_ns if Path(entry.source).is_absolute() else 0
    if Stamp(size=found.st_size, mtime_ns=mtime_ns) != entry.stamp:
        return Skipped(entry.id, f"{path} has changed: run `lorgnette index` on its folder")
    return Photograph(id=entry.id, path=path, stamp=entry.stamp)


def _none_readable(folder: Path, broken: Sequence[Skipped]) -> str:
    return (
        f"none of the {len(broken)} photographs in {folder} can be read; the first, "
        f"{broken[0].name}: {broken[0].reason}"
    )
