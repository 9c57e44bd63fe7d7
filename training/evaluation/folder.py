"""How well a student finds what its teacher embedded: mAP and P@1 from two ONNX bundles.

No torch: the photographs go through the SDK's Encoder, as they do on a device and in the service.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidConfiguration, InvalidImage, SpaceMismatch
from lorgnette.vectors import Vectors
from training.data.splits import all_photographs, paths_with_role, read_splits
from training.evaluation.ranking import Score, score
from training.progress import track

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Protocol:
    """Who asks whom.  A photograph's class is its top folder below the data set.

    paths: all photographs.  queries, gallery: int64 positions in them.  is_leave_one_out: every
    photograph is a query against all others.
    """

    folder: Path
    paths: tuple[Path, ...]
    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    is_leave_one_out: bool


@dataclass(frozen=True)
class Evaluation:
    """Scores by who embeds query → gallery.  skipped: photographs that could not be read."""

    teacher_to_teacher: Score
    student_to_student: Score
    student_to_teacher: Score
    queries_without_match: int
    skipped: int


def read_protocol(folder: Path, splits: Path | None) -> Protocol:
    """List the photographs of a data set and their roles.

    splits: a TSV `path<TAB>role` with the paths relative to the folder; None: leave-one-out.
    Raises `InvalidConfiguration` when something is missing or a photograph has no class folder.
    """
    if splits is None:
        paths = all_photographs(folder)
        everyone = np.arange(len(paths), dtype=np.int64)
        queries, gallery = everyone, everyone
    else:
        roles = read_splits(splits)
        asking = paths_with_role(folder, roles, "query")
        held = paths_with_role(folder, roles, "gallery")
        paths = [*asking, *held]
        queries = np.arange(len(asking), dtype=np.int64)
        gallery = np.arange(len(asking), len(paths), dtype=np.int64)
    for path in paths:
        if path.parent == folder:
            raise InvalidConfiguration(
                f"{path.name} lies in no class folder: expected {folder}/<class>/<photograph>"
            )
    return Protocol(folder, tuple(paths), queries, gallery, is_leave_one_out=splits is None)


def evaluate(gallery: Bundle, query: Bundle, protocol: Protocol, *, workers: int) -> Evaluation:
    """Embed every photograph with both bundles and score the three pairings.

    workers: photographs embedded at once.  Before anything is embedded it raises `SpaceMismatch`
    when the bundles speak different spaces, `InvalidConfiguration` when `gallery` is a student.
    """
    _require_a_pair(gallery, query)
    teacher, is_read = embed(gallery, protocol.paths, workers=workers)
    student, _ = embed(query, protocol.paths, workers=workers)
    classes = np.array([p.relative_to(protocol.folder).parts[0] for p in protocol.paths])
    asking, held = (rows[is_read[rows]] for rows in (protocol.queries, protocol.gallery))
    alone = protocol.is_leave_one_out
    same = _relevance(classes[asking], classes[held], is_leave_one_out=alone)
    matched: NDArray[np.bool_] = np.asarray(same.any(axis=1))
    own = np.flatnonzero(matched) if alone else None

    def scored(asks: Vectors, holds: Vectors) -> Score:
        return score(asks[asking][matched], holds[held], same[matched], own=own)

    return Evaluation(
        teacher_to_teacher=scored(teacher, teacher),
        student_to_student=scored(student, student),
        student_to_teacher=scored(student, teacher),
        queries_without_match=int((~matched).sum()),
        skipped=int((~is_read).sum()),
    )


def embed(
    bundle: Bundle, paths: Sequence[Path], *, workers: int
) -> tuple[Vectors, NDArray[np.bool_]]:
    """Unit rows `[N, D]` and which photographs could be read; the rows of the others are 0."""
    encoder = Encoder(bundle)
    encoder.check()
    rows = np.zeros((len(paths), bundle.space.dim), dtype=np.float32)
    is_read = np.zeros(len(paths), dtype=np.bool_)
    task = f"embedding with {bundle.manifest.name}"
    with ThreadPoolExecutor(workers) as pool:
        vectors = pool.map(lambda path: _encode(encoder, path), paths)
        for number, vector in enumerate(track(vectors, total=len(paths), task=task)):
            if vector is not None:
                rows[number], is_read[number] = vector, True
    if not is_read.any():
        raise InvalidConfiguration(f"none of the {len(paths)} photographs could be read")
    return rows, is_read


def _require_a_pair(gallery: Bundle, query: Bundle) -> None:
    if gallery.manifest.role != "gallery":
        raise InvalidConfiguration(
            f"{gallery.directory} is a query bundle (a student), expected the gallery's: give "
            "--gallery the teacher and --query the student"
        )
    if gallery.space != query.space:
        raise SpaceMismatch(
            f"{query.manifest.name} speaks {query.space.id}, {gallery.manifest.name} speaks "
            f"{gallery.space.id}: choose a student distilled from this teacher",
            expected=(gallery.space.id,),
            found=query.space.id,
        )


def _relevance(
    asking: NDArray[np.str_], held: NDArray[np.str_], *, is_leave_one_out: bool
) -> NDArray[np.bool_]:
    same = asking[:, None] == held[None, :]
    if is_leave_one_out:
        np.fill_diagonal(same, val=False)
    if not same.any():
        raise InvalidConfiguration(
            "no query has a photograph of its class in the gallery: check the class folders"
        )
    relevant: NDArray[np.bool_] = same
    return relevant


def _encode(encoder: Encoder, path: Path) -> NDArray[np.float32] | None:
    try:
        return encoder.encode(path)
    except InvalidImage as error:
        log.warning("skipped %s: %s", path, error)
        return None
