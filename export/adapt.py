"""A student adapted to an operator's own photographs, without labels: a new bundle of its space.

What a service learns of a student and maps on the server (`lorgnette.alignment`) is written into
the student's graph instead, mixed with its own rows by a share. No torch, and no re-indexing: the
gallery stays what the teacher made of it.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from export.adapted_graph import Adaptation
from export.adapted_variants import adapted_variants
from export.progress import progress_bar
from export.publish import FILE_NAMES, entry_of, require_free, write_bundle
from lorgnette.alignment import MIN_PHOTOGRAPHS, Alignment, is_alike, learn_alignment
from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import (
    InvalidBundle,
    InvalidConfiguration,
    InvalidImage,
    SpaceMismatch,
)
from lorgnette.image import read_image
from lorgnette.manifest import Golden, Manifest, Role, Variant
from lorgnette.vectors import Vectors, to_base64
from training.data.splits import all_photographs

log = logging.getLogger(__name__)

CHECKED_PHOTOGRAPHS = 16
"""On so many the adapted graphs are compared with the same map in numpy."""

VERSION_DIGITS = 8


@dataclass(frozen=True)
class Request:
    """What to adapt to what.

    gallery: a folder of photographs.  share: of the alignment, in (0, 1].
    photographs: how many are embedded at most.  replace: a bundle at `out` may be replaced.
    """

    gallery: Path
    student: Path
    teacher: Path
    out: Path
    share: float
    photographs: int
    replace: bool


@dataclass(frozen=True)
class Adapted:
    """The bundle as written, and what it was adapted by."""

    bundle: Bundle
    alignment: Alignment


@dataclass(frozen=True)
class _Seen:
    """Photographs that could be read, and their unit rows `[N, D]` by both models."""

    paths: tuple[Path, ...]
    student: Vectors
    teacher: Vectors


def adapt(request: Request) -> Adapted:
    """Learn the alignment from photographs, and write the student with it behind its network.

    Raises `InvalidConfiguration`, `InvalidBundle`, `SpaceMismatch`, `ExportMismatch` or `DiskFull`;
    then nothing was written.
    """
    _require_possible(request)
    student, teacher = _opened(request.student, "query"), _opened(request.teacher, "gallery")
    _require_fitting(student, teacher, request)
    paths = all_photographs(request.gallery)
    _require_enough(len(paths), request.gallery)
    with progress_bar() as progress:
        total = min(len(paths), request.photographs)
        task = progress.add_task("embedding with both models", total=total)
        seen = _embedded(
            (student, teacher),
            paths,
            most=request.photographs,
            on_image=lambda: progress.advance(task),
        )
        _require_enough(len(seen.paths), request.gallery)
        _require_variety(seen, request.gallery)
        progress.update(task, description="learning the map, checking the graphs", total=None)
        learned = learn_alignment(seen.student, seen.teacher)
        adaptation = Adaptation(learned, request.share)
        checks = [read_image(path) for path in seen.paths[:CHECKED_PHOTOGRAPHS]]
        variants = adapted_variants(student.bundle, adaptation, checks)
        written = _write(student.bundle, teacher.bundle, adaptation, variants, request)
    return Adapted(written, learned)


def _require_possible(request: Request) -> None:
    """What can be refused before anything is opened."""
    if not 0 < request.share <= 1:
        raise InvalidConfiguration(
            f"--share: expected a number above 0 and at most 1, found {request.share:g}: 0.4 keeps "
            "the student at home elsewhere, 1 is for this gallery alone"
        )
    if request.photographs < MIN_PHOTOGRAPHS:
        raise InvalidConfiguration(
            f"--photographs: expected at least {MIN_PHOTOGRAPHS}, found {request.photographs}: "
            "leave it out for 2048"
        )
    if request.out.resolve() in (request.student.resolve(), request.teacher.resolve()):
        raise InvalidConfiguration(
            f"--out {request.out} is one of the models to adapt from, which would be lost: name "
            "another directory"
        )
    require_free(request.out, replace=request.replace)


def _opened(directory: Path, role: Role) -> Encoder:
    bundle = Bundle.open(directory)
    if bundle.manifest.role != role:
        option, wanted = ("student", "query") if role == "query" else ("teacher", "gallery")
        raise InvalidBundle(
            f"--{option} {directory} is a {bundle.manifest.role} bundle, expected a {wanted} "
            "bundle: --student embeds queries, --teacher embedded the gallery"
        )
    encoder = Encoder(bundle, variant=bundle.default_variant())
    encoder.check()
    return encoder


def _require_fitting(student: Encoder, teacher: Encoder, request: Request) -> None:
    if student.space != teacher.space:
        raise SpaceMismatch(
            f"--teacher {request.teacher} speaks {teacher.space.id}, the student "
            f"{student.space.id}: give the teacher that embedded the gallery of this student",
            expected=(student.space.id,),
            found=teacher.space.id,
        )
    if "adapted" in student.bundle.manifest.provenance.metrics:
        raise InvalidConfiguration(
            f"--student {request.student} is adapted already, expected the student it was made "
            "from: adapt that one again, to all photographs you have"
        )


def _require_enough(count: int, gallery: Path) -> None:
    if count < MIN_PHOTOGRAPHS:
        raise InvalidConfiguration(
            f"--gallery: expected at least {MIN_PHOTOGRAPHS} readable photographs in {gallery}, "
            f"found {count}: give a larger folder, or use the student as it is"
        )


def _require_variety(seen: _Seen, gallery: Path) -> None:
    for rows in (seen.student, seen.teacher):
        if is_alike(rows):
            raise InvalidConfiguration(
                f"--gallery: the {len(rows)} photographs of {gallery} are all alike, which says "
                "nothing about a student: give a folder with others"
            )


def _embedded(
    encoders: tuple[Encoder, Encoder],
    paths: Sequence[Path],
    *,
    most: int,
    on_image: Callable[[], None],
) -> _Seen:
    """Up to `most` photographs in random order; what cannot be read is passed over and logged."""
    seen: list[Path] = []
    rows: list[list[Vectors]] = [[], []]
    for place in np.random.default_rng(0).permutation(len(paths)):
        if len(seen) == most:
            break
        try:
            pixels = read_image(paths[place])
        except InvalidImage as error:
            log.warning("skipped %s", error)
            continue
        seen.append(paths[place])
        for encoder, of_one in zip(encoders, rows, strict=True):
            of_one.append(encoder.encode_pixels(pixels))
        on_image()
    student, teacher = (
        np.stack(of_one) if of_one else np.empty((0, encoders[0].space.dim), np.float32)
        for of_one in rows
    )
    return _Seen(tuple(seen), student, teacher)


def _write(
    student: Bundle,
    teacher: Bundle,
    adaptation: Adaptation,
    variants: dict[Variant, bytes],
    request: Request,
) -> Bundle:
    plain = student.manifest
    entries = {v: entry_of(FILE_NAMES[v], content) for v, content in variants.items()}
    golden = tuple(
        Golden(image=of.image, vector_b64=to_base64(adaptation(case.vector), dtype="f32"))
        for of, case in zip(plain.golden, student.golden(), strict=True)
    )
    update = {
        "version": version_of(plain.version, adaptation),
        "files": {v: entries.get(v, entry) for v, entry in plain.files.items()},
        "golden": golden,
    }
    manifest = plain.model_copy(update=update)
    manifest = _with_provenance(manifest, plain, teacher.manifest, adaptation, request)
    kept = [of.image.path for of in plain.golden]
    kept += [entry.path for v, entry in plain.files.items() if v not in variants]
    files = {path: (student.directory / path).read_bytes() for path in kept}
    files |= {entries[v].path: content for v, content in variants.items()}
    return write_bundle(request.out, Manifest.parse(manifest.dump()), files)


def version_of(plain: str, adaptation: Adaptation) -> str:
    """8 hex digits of a sha256 over the student's version, the alignment and the share."""
    digest = hashlib.sha256(plain.encode())
    for part in (adaptation.alignment.origin, adaptation.alignment.matrix):
        digest.update(np.ascontiguousarray(part, "<f4").tobytes())
    digest.update(repr(float(adaptation.share)).encode())
    return digest.hexdigest()[:VERSION_DIGITS]


def _with_provenance(
    manifest: Manifest,
    plain: Manifest,
    teacher: Manifest,
    adaptation: Adaptation,
    request: Request,
) -> Manifest:
    """Say what was done. Figures of the variants were the plain student's, and are left to it."""
    learned, old = adaptation.alignment, plain.provenance
    name = request.gallery.resolve().name
    figures: dict[str, JsonValue] = {
        "student": plain.identity,
        "teacher": teacher.identity,
        "student_command": old.command,
        "photographs": learned.photographs,
        "share": adaptation.share,
        "strength": learned.strength,
        "cosine_before": round(learned.before, 5),
        "cosine_after": round(learned.after, 5),
    }
    metrics = {key: value for key, value in old.metrics.items() if key not in plain.files}
    update = {
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": f"lorgnette adapt --gallery {shlex.quote(name)} --student {plain.identity} "
        f"--teacher {teacher.identity} --share {adaptation.share:g} "
        f"--photographs {request.photographs}",
        "data": (*old.data, f"{name} (adapted to, without labels)"),
        "metrics": {**metrics, "adapted": figures},
    }
    return manifest.model_copy(update={"provenance": old.model_copy(update=update)})
