"""Building a generation: written aside, checked by a child process, renamed into place.

    .<n>.building/ -> every file synced -> self-check -> read-only -> <n>/ -> CURRENT

A crash or a failure at any arrow leaves the live generation as it was; what lies aside is swept
by the next builder. Callers hold the writer lock, so whatever is being built is theirs.
"""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette import durable
from lorgnette.bundle import sha256_of
from lorgnette.errors import InvalidGallery, LorgnetteError
from lorgnette.manifest import Space
from lorgnette.vectors import Vectors
from service.gallery import auto, faiss_index, files, generations, milvus
from service.gallery.auto import Built
from service.gallery.catalogue import Catalogue
from service.gallery.generations import FileName, GenerationFile, GenerationManifest
from service.gallery.records import Changes
from service.gallery.sample import Sample
from service.gallery.sealed import seal
from service.gallery.statements import now
from service.progress import Progress, Report, silent

log = logging.getLogger(__name__)

KEPT = 2
"""Generations of a space that stay for rollback, beside the live one."""


def publish(
    catalogue: Catalogue,
    data: Path,
    space: Space,
    *,
    factory: str,
    recall_gate: float,
    report: Report = silent,
) -> GenerationManifest:
    """Build the space as the catalogue has it now, check it, and make it live.

    Raises `InvalidGallery` when there is nothing to build from or the result is not good enough,
    `InvalidConfiguration` for a factory that does not fit, `DiskFull`. The live one then stays.
    """
    content = catalogue.changes(space, since=0)
    if not len(content.keys):
        raise InvalidGallery(
            f"space {space.id} has no vectors to build an index from: index some photographs first"
        )
    sweep(data)
    number = max((0, *generations.published(data), *generations.read_current(data).values())) + 1
    building = data / generations.GENERATIONS_NAME / f".{number}.building"
    try:
        with files.disk_errors(data):
            building.mkdir(parents=True)
            manifest = _write(
                building, number, space, content, factory=factory, gate=recall_gate, report=report
            )
            _seal(building, generations.directory_of(data, number))
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    generations.promote(data, number)
    log.info("published", extra={"generation": number, "space": space.id, "count": manifest.count})
    collect(data, space.id)
    return manifest


def check_factory(factory: str, *, dim: int) -> None:
    """Raise `InvalidConfiguration` for a factory that is neither FAISS's nor an address in Milvus.

    Before any work: what is found after it costs the more.
    """
    if milvus.is_address(factory):
        milvus.Address.of(factory)
    else:
        faiss_index.check_factory(factory, dim=dim)


def _write(
    building: Path,
    number: int,
    space: Space,
    content: Changes,
    *,
    factory: str,
    gate: float,
    report: Report,
) -> GenerationManifest:
    rows, keys = content.rows, content.keys
    sample = Sample.of(rows, seed=content.seq)
    name: FileName = generations.INDEX_NAME
    if milvus.is_address(factory):
        name = generations.MILVUS_NAME
        held = milvus.build(rows, factory=factory, generation=number)
        built = Built(index=held, factory=factory, tuning=None)
    else:
        built = auto.built(rows, sample, factory=factory, gate=gate)
    report(Progress(stage="checking the index", done=0, total=0, rate=None, eta_s=None))
    built.index.write(building / name)
    buffer = io.BytesIO()
    np.save(buffer, keys)
    durable.write_synced(building / generations.KEYS_NAME, buffer.getvalue())
    manifest = GenerationManifest(
        schema_version=1,
        generation=number,
        space=space,
        count=len(keys),
        seq=content.seq,
        factory=built.factory,
        tuning=built.tuning,
        recall_at_10=0.0,
        created_at=now(),
        files={
            name: _entry(building / name),
            "keys.npy": _entry(building / generations.KEYS_NAME),
        },
    )
    return _check(building, manifest, sample, rows, gate=gate)


def _check(
    building: Path, manifest: GenerationManifest, sample: Sample, rows: Vectors, *, gate: float
) -> GenerationManifest:
    """Ask the written index in a child process; write the manifest with the recall it reached."""
    path = building / generations.MANIFEST_NAME
    durable.write_synced(path, seal(manifest.model_dump_json()))
    found = _ask(building, sample.queries)
    recall, lost = sample.recall(found, rows), sample.lost(found, rows)
    if recall < gate or lost > (1 - gate) * len(found):
        raise InvalidGallery(
            f"the new index ({manifest.factory}) has recall@10 {recall:.3f} against exact search, "
            f"expected at least {gate}, and {lost} of {len(found)} vectors do not find "
            'themselves: it was not published; use a finer factory such as "Flat"'
        )
    checked = manifest.model_copy(update={"recall_at_10": round(recall, 4)})
    path.unlink()
    durable.write_synced(path, seal(checked.model_dump_json()))
    return checked


def _ask(building: Path, queries: Vectors) -> NDArray[np.int64]:
    question = io.BytesIO()
    np.save(question, queries)
    child = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "service.gallery.selfcheck", str(building)],
        input=question.getvalue(),
        capture_output=True,
        check=False,
    )
    if child.returncode != 0:
        words = child.stderr.decode(errors="replace").strip().splitlines()
        raise InvalidGallery(
            f"the new index does not open (exit status {child.returncode}: "
            f"{words[-1] if words else 'no message'}): it was not published; the live one stays"
        )
    found: NDArray[np.int64] = np.load(io.BytesIO(child.stdout), allow_pickle=False)
    return found


def _entry(path: Path) -> GenerationFile:
    return GenerationFile(sha256=sha256_of(path), bytes=path.stat().st_size)


def _seal(building: Path, final: Path) -> None:
    """Make every file read-only and the directory appear under its number, durably."""
    for path in building.iterdir():
        path.chmod(0o444)
    durable.sync(building)
    building.rename(final)
    durable.sync(final.parent)
    durable.sync(final.parent.parent)


def sweep(data: Path) -> None:
    """Remove what dead builders left aside. The caller holds the writer lock."""
    folder = data / generations.GENERATIONS_NAME
    if folder.is_dir():
        for path in folder.glob(".*.building"):
            shutil.rmtree(path, ignore_errors=True)
    for path in data.glob(f".{generations.CURRENT_NAME}.*.writing"):
        path.unlink(missing_ok=True)


def collect(data: Path, space_id: str) -> None:
    """Remove a space's generations older than the live one and the `KEPT` before it."""
    live = generations.read_current(data).get(space_id, 0)
    older: list[int] = []
    for number in generations.published(data):
        try:
            manifest = generations.read_manifest(generations.directory_of(data, number))
        except LorgnetteError:
            continue
        if manifest.space.id == space_id and number < live:
            older.append(number)
    for number in older[:-KEPT]:
        generations.discard(generations.directory_of(data, number))
