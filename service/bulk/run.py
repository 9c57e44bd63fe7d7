"""A bulk embedding from folder to shards, by any engine; the same call goes on after a crash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidBundle
from lorgnette.image import MAX_PIXELS
from service.bulk import shards
from service.bulk.shards import BulkManifest
from service.bulk.worker import Done, Work
from service.gallery.files import disk_errors, writer_lock
from service.gallery.scan import Skipped, scan
from service.progress import Meter, Report, silent

Engine = Callable[[Work, Sequence[int]], Iterator[Done]]
"""Embeds and writes the shards of these numbers, telling each as it is done."""


@dataclass(frozen=True)
class Summary:
    """What a run did. looked_at: photographs, now, also broken ones. skipped: of all shards."""

    manifest: BulkManifest
    looked_at: int
    skipped: tuple[Skipped, ...]


def embed_folder(
    folder: Path,
    teacher: Path,
    out: Path,
    *,
    engine: Engine,
    prefix: str = "",
    report: Report = silent,
) -> Summary:
    """Embed every photograph of a folder into shards; finished ones are kept.

    Raises `InvalidInput` for a folder without photographs, `InvalidBundle` for a teacher that is
    none or lacks `net` and `pre`, `InvalidConfiguration` when `out` holds another embedding,
    `GalleryBusy` when somebody writes there, `DiskFull`.
    """
    found = scan(folder, prefix=prefix)
    bundle = _teacher(teacher)
    manifest = BulkManifest(
        space=bundle.space,
        teacher=bundle.manifest.identity,
        teacher_sha256=_digest(bundle),
        photographs=shards.digest_of(found.photographs),
        count=len(found.photographs),
        per_shard=shards.per_shard(len(found.photographs)),
    )
    work = Work(
        teacher=teacher.resolve(),
        out=out.resolve(),
        photographs=found.photographs,
        per_shard=manifest.per_shard,
        max_pixels=MAX_PIXELS,
    )
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with writer_lock(out):
        shards.enter(out, manifest)
        looked_at = _run(engine, work, shards.lacking(out, manifest), report=report)
    return Summary(manifest, looked_at, skipped=(*found.skipped, *shards.read(out).skipped))


def _run(engine: Engine, work: Work, lacking: Sequence[int], *, report: Report) -> int:
    meter = Meter(report, stage="embedding", total=sum(len(work.of(shard)) for shard in lacking))
    looked_at = 0
    for done in engine(work, lacking):
        looked_at += done.photographs
        meter.advance(done.photographs)
    return looked_at


def _teacher(directory: Path) -> Bundle:
    bundle = Bundle.open(directory)
    if bundle.manifest.role != "gallery" or not {"net", "pre"} <= set(bundle.manifest.files):
        raise InvalidBundle(
            f"{directory} is a {bundle.manifest.role} bundle with "
            f"{', '.join(sorted(bundle.manifest.files))}; bulk embedding needs a gallery bundle "
            "with net and pre: `lorgnette export RUN --variants fp16,net,pre`"
        )
    return bundle


def _digest(bundle: Bundle) -> str:
    """Of what computes the rows: the two graphs."""
    files = bundle.manifest.files
    return hashlib.sha256((files["pre"].sha256 + files["net"].sha256).encode()).hexdigest()
