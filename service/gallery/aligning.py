"""Learning how a student's queries are brought to a gallery, from the gallery's photographs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorgnette.alignment import MIN_PHOTOGRAPHS, Alignment, is_alike, learn_alignment
from lorgnette.bundle import Bundle, read_manifest
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidBundle, InvalidGallery, InvalidInput
from lorgnette.vectors import Vectors
from service.embedding import embed_files
from service.gallery.alignments import put_alignment
from service.gallery.build import source_of
from service.gallery.catalogue import Catalogue
from service.gallery.scan import Photograph
from service.gallery.stored import rows_in
from service.progress import Meter, Report, silent

log = logging.getLogger(__name__)

MOST_PHOTOGRAPHS = 2048
"""Embedded with the student at most, drawn at random: some 20 seconds of one core."""


@dataclass(frozen=True)
class Options:
    """threads: photographs embedded at once."""

    threads: int = 1
    report: Report = silent


def open_student(directory: Path) -> Encoder:
    """Open a query bundle and check it against its golden vectors. Raises `InvalidBundle`."""
    bundle = Bundle.open(directory)
    if bundle.manifest.role != "query":
        raise InvalidBundle(
            f"{directory} is a {bundle.manifest.role} bundle (a teacher), expected a query bundle: "
            "give --student a student of the gallery's space"
        )
    encoder = Encoder(bundle, variant=bundle.default_variant(), threads=1)
    encoder.check()
    return encoder


def align(
    catalogue: Catalogue, data: Path, student: Encoder, *, options: Options = Options()
) -> Alignment:
    """Learn a student's alignment with the gallery and keep it; searches use it at once.

    Up to `MOST_PHOTOGRAPHS` of the gallery are embedded with the student and compared with their
    teacher's rows. Photographs that are gone or cannot be read are passed over.

    Raises `InvalidGallery` when fewer than `MIN_PHOTOGRAPHS` can be read, or they are all alike,
    and `InvalidBundle` for a student whose space has another dimension here.
    """
    _require_dimension(catalogue, student)
    chosen = _chosen(catalogue, data, student)
    _require_enough(len(chosen), student)
    keys, rows = _embedded(student, chosen, options=options)
    held, targets = rows_in(catalogue, student.space, np.array(keys, np.int64))
    # What was written or deleted meanwhile has the row of another photograph, or none.
    same = np.isin(held, _unchanged(catalogue, data, student, chosen))
    held, targets = held[same], targets[same]
    places = {key: place for place, key in enumerate(keys)}
    asked = rows[[places[int(key)] for key in held]]
    _require_enough(len(held), student)
    _require_variety(asked, targets)
    learned = learn_alignment(asked, targets)
    put_alignment(catalogue, student.space, student=student.identity, learned=learned)
    return learned


def _require_dimension(catalogue: Catalogue, student: Encoder) -> None:
    for space in catalogue.spaces():
        if space.id == student.space.id and space.dim != student.space.dim:
            raise InvalidBundle(
                f"space {space.id} of this gallery has {space.dim} dimensions, the bundle of "
                f"{student.identity} states {student.space.dim}: one of the two manifests is "
                "wrong; export the bundle again"
            )


def _require_variety(*rows: Vectors) -> None:
    for of_one in rows:
        if is_alike(of_one):
            raise InvalidGallery(
                f"the gallery's {len(of_one)} photographs are all alike, which says nothing about "
                "a student: index others; searches go on without an alignment"
            )


def _unchanged(
    catalogue: Catalogue, data: Path, student: Encoder, chosen: Sequence[tuple[int, Photograph]]
) -> list[int]:
    """The keys of those that are still made from the photograph that was embedded."""
    known = catalogue.known(student.space.id)
    now = {entry.key: (data / entry.source, entry.stamp) for entry in known}
    return [key for key, photo in chosen if now.get(key) == (photo.path, photo.stamp)]


def _require_enough(count: int, student: Encoder) -> None:
    if count < MIN_PHOTOGRAPHS:
        raise InvalidGallery(
            f"the gallery has {count} readable photographs in space {student.space.id}, an "
            f"alignment needs {MIN_PHOTOGRAPHS}: index more, or put the photographs back where "
            "they were; searches go on without it"
        )


def _chosen(catalogue: Catalogue, data: Path, student: Encoder) -> list[tuple[int, Photograph]]:
    """Photographs that are where they were indexed, in random order, with their keys."""
    known = [entry for entry in catalogue.known(student.space.id) if entry.has_vector]
    chosen: list[tuple[int, Photograph]] = []
    for place in np.random.default_rng(0).permutation(len(known)):
        source = source_of(known[place], data=data)
        if isinstance(source, Photograph):
            chosen.append((known[place].key, source))
        if len(chosen) == MOST_PHOTOGRAPHS:
            break
    return chosen


def _embedded(
    student: Encoder, chosen: Sequence[tuple[int, Photograph]], *, options: Options
) -> tuple[list[int], Vectors]:
    keys, rows = [], []
    meter = Meter(options.report, stage="aligning the student", total=len(chosen))
    paths = [photo.path for _, photo in chosen]
    with closing(embed_files(student, paths, threads=options.threads)) as results:
        for (key, _), result in zip(chosen, results, strict=True):
            if not isinstance(result, InvalidInput):
                keys.append(key)
                rows.append(result)
            meter.advance()
    return keys, np.stack(rows) if rows else np.empty((0, student.space.dim), np.float32)


def align_fitting(
    catalogue: Catalogue, data: Path, students: Sequence[Path], *, options: Options = Options()
) -> dict[str, Alignment]:
    """Align those of the students that speak a space of the gallery; by their identities.

    One that is no bundle, or a gallery too small for an alignment, is passed over with a warning
    in the log: searches then go on without it.
    """
    spaces = {space.id for space in catalogue.spaces()}
    aligned: dict[str, Alignment] = {}
    for directory in students:
        try:
            if read_manifest(directory).space.id not in spaces:
                continue
            student = open_student(directory)
            aligned[student.identity] = align(catalogue, data, student, options=options)
        except (InvalidBundle, InvalidGallery) as error:
            log.warning("%s is not aligned: %s", directory, error)
    return aligned
