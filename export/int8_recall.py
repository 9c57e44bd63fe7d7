"""What eight bits cost a search: figures of the float32 and the int8 graph on the same folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from export.runtime import open_session
from lorgnette.bundle import Bundle
from lorgnette.encoder import INPUT_NAME, Encoder
from lorgnette.errors import InvalidConfiguration, SpaceMismatch
from lorgnette.image import read_image
from lorgnette.vectors import Vectors
from training.data.splits import all_photographs
from training.evaluation.folder import Protocol, read_protocol, relevance
from training.evaluation.ranking import score

NEIGHBOURS = 10
MIN_PHOTOGRAPHS = 20


@dataclass(frozen=True)
class Judge:
    """The photographs that judge, and whose rows of the gallery they are searched in.

    folder: one folder a class is labelled; photographs lying in it directly are not.
    splits: a TSV `path<TAB>role`; None: each is a query against all others.
    gallery: the teacher's bundle; None: the float32 student's own rows.
    """

    folder: Path
    splits: Path | None
    gallery: Path | None


@dataclass(frozen=True)
class Recall:
    """A figure of both graphs in [0, 1], over `queries` photographs.

    mAP where there are classes. Without them recall@10: how many of the ten photographs that
    float32 finds first int8 finds among its own ten; 1 for float32 by definition, and strict.
    cosine_min, cosine_mean: of the queries' rows in both.
    """

    figure: Literal["mAP", "recall@10"]
    float32: float
    int8: float
    queries: int
    cosine_min: float
    cosine_mean: float

    @property
    def delta(self) -> float:
        """What is lost, as the manifest says it: 0.01 is one point; negative is a gain."""
        return self.float32 - self.int8

    def described(self) -> dict[str, JsonValue]:
        """The same as JSON."""
        return {
            "figure": self.figure,
            "float32": round(self.float32, 5),
            "int8": round(self.int8, 5),
            "queries": self.queries,
            "cosine_min": round(self.cosine_min, 5),
            "cosine_mean": round(self.cosine_mean, 5),
        }


def read_judge(judge: Judge) -> Protocol:
    """List the photographs, and check that there are enough. Raises `InvalidConfiguration`."""
    if judge.splits is None:
        paths = all_photographs(judge.folder)
        if any(path.parent == judge.folder for path in paths):
            everyone = np.arange(len(paths), dtype=np.int64)
            found = Protocol(judge.folder, tuple(paths), everyone, everyone, is_leave_one_out=True)
        else:
            found = read_protocol(judge.folder, None)
    else:
        inside = judge.folder / judge.splits
        found = read_protocol(judge.folder, judge.splits if judge.splits.exists() else inside)
    if len(found.queries) < MIN_PHOTOGRAPHS:
        raise InvalidConfiguration(
            f"--evaluate: expected at least {MIN_PHOTOGRAPHS} queries in {judge.folder}, found "
            f"{len(found.queries)}: give a larger folder, for the loss of recall is an average"
        )
    return found


def recall(
    judge: Judge,
    protocol: Protocol,
    *,
    float32: bytes,
    int8: bytes,
    on_image: Callable[[], None] = lambda: None,
) -> Recall:
    """Embed the queries with both graphs, the gallery once, and score both alike.

    Raises `InvalidImage` for a photograph that cannot be read.
    """
    plain, small, held = _rows(judge, protocol, float32, int8, on_image)
    asks, eights = plain[protocol.queries], small
    cosine = (asks * eights).sum(axis=1)
    classes = np.array([path.relative_to(protocol.folder).parts[0] for path in protocol.paths])
    is_labelled = not any(path.parent == protocol.folder for path in protocol.paths)
    if is_labelled:
        figures = _mean_ap(protocol, classes, (asks, eights), held)
    else:
        figures = 1.0, _overlap(asks, eights, held)
    return Recall(
        figure="mAP" if is_labelled else "recall@10",
        float32=figures[0],
        int8=figures[1],
        queries=len(asks),
        cosine_min=float(cosine.min()),
        cosine_mean=float(cosine.mean()),
    )


def require_same_space(judge: Judge, student: Bundle) -> None:
    """Check that the judge's gallery speaks the student's space. Raises `SpaceMismatch`."""
    if judge.gallery is None:
        return
    space = Bundle.open(judge.gallery).space
    if space != student.space:
        raise SpaceMismatch(
            f"--gallery {judge.gallery} speaks {space.id}, the student {student.space.id}: give "
            "its teacher's bundle, or leave --gallery out",
            expected=(student.space.id,),
            found=space.id,
        )


def _rows(
    judge: Judge,
    protocol: Protocol,
    float32: bytes,
    int8: bytes,
    on_image: Callable[[], None],
) -> tuple[Vectors, Vectors, Vectors]:
    """Rows of all photographs in float32, of the queries in int8, and of the gallery."""
    sessions = [open_session(graph) for graph in (float32, int8)]
    teacher = None if judge.gallery is None else _teacher(Bundle.open(judge.gallery))
    asked, holding = set(protocol.queries.tolist()), set(protocol.gallery.tolist())
    plain, small, held = [], [], []
    for index, path in enumerate(protocol.paths):
        pixels = read_image(path)
        plain.append(sessions[0].run(None, {INPUT_NAME: pixels})[0])
        if index in asked:
            small.append(sessions[1].run(None, {INPUT_NAME: pixels})[0])
        if index in holding:
            held.append(plain[-1] if teacher is None else teacher.encode_pixels(pixels)[None])
        on_image()
    return np.concatenate(plain), np.concatenate(small), np.concatenate(held)


def _teacher(bundle: Bundle) -> Encoder:
    return Encoder(bundle, variant=bundle.default_variant())


def _mean_ap(
    protocol: Protocol,
    classes: NDArray[np.str_],
    asks: tuple[Vectors, Vectors],
    held: Vectors,
) -> tuple[float, float]:
    alone = protocol.is_leave_one_out
    same = relevance(classes[protocol.queries], classes[protocol.gallery], is_leave_one_out=alone)
    matched = np.flatnonzero(same.any(axis=1))
    own = matched if alone else None
    first, second = (score(rows[matched], held, same[matched], own=own).mean_ap for rows in asks)
    return first, second


def _overlap(asks: Vectors, eights: Vectors, held: Vectors) -> float:
    """The mean share of each query's ten first that is kept; the query itself is left out."""
    firsts = []
    for rows in (asks, eights):
        s = rows @ held.T
        np.fill_diagonal(s, -np.inf)
        firsts.append(np.argsort(-s, axis=1, kind="stable")[:, :NEIGHBOURS])
    shares = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(*firsts, strict=True)]
    return float(np.mean(shares))
