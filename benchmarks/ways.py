"""Every way to ask a gallery, of vectors that are there: what `benchmarks/asking.py` measures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.common import Rows, unit
from export.adapted_graph import Adaptation
from lorgnette.alignment import Alignment, learn_alignment
from service.gallery.rerank import POOL, RERANKINGS
from training.evaluation.folder import Asked
from training.evaluation.ranking import average_precision
from training.study.result import Figures

FEWER = (16, 64, 256)
"""Photographs of a smaller gallery."""

SHARES = (0.2, 0.4, 0.6, 1.0)
_TIMED = 40
"""Rows that an alignment is timed on, one at a time."""


@dataclass(frozen=True)
class Way:
    """How to ask.  q: the queries' rows.  views: passes through `encoder` that one query takes.

    holds: who embedded the gallery.  rerank: its name, or empty.  cost_ms: beside the passes.
    """

    name: str
    label: str
    about: str
    q: Rows
    encoder: str
    views: int = 1
    holds: str = "teacher"
    rerank: str = ""
    cost_ms: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A set: its questions, and rows `[P, D]` of its photographs by who saw them, and how."""

    asked: Asked
    rows: Mapping[str, Rows]

    def queries(self, who: str) -> Rows:
        return self.rows[who][self.asked.asking]

    def gallery(self, who: str) -> Rows:
        return self.rows[who][self.asked.held]

    def alignment(self, who: str, count: int | None = None) -> Alignment:
        """Learned from `count` of the gallery's photographs; None: from all."""
        some = np.random.default_rng(0).permutation(len(self.asked.held))[:count]
        return learn_alignment(self.gallery(who)[some], self.gallery("teacher")[some])


def ways(scene: Scene, learned: Mapping[str, Alignment]) -> Iterator[Way]:
    """learned: by the folder whose gallery a student is adapted to."""
    yield from of_teacher(scene)
    plain = scene.queries("student")
    yield Way("symmetric", "student, both sides", "it embedded the gallery too", plain, "student",
              holds="student")  # fmt: skip
    asis = Way("student", "student", "fp16, as it is", plain, "student")
    yield asis
    yield from reranked(asis)
    if "int8" in scene.rows:
        yield Way("student-int8", "student, int8", "", scene.queries("int8"), "int8")
    whole = scene.alignment("student")
    yield from of_views(scene, whole)
    yield from aligned(scene, whole)
    for folder, alignment in learned.items():
        for share in SHARES:
            adapted = Way(
                f"adapted-{folder}-{share:g}",
                f"student, adapted to {folder}, {share:g}",
                "`lorgnette adapt --share`, learned of that gallery",
                Adaptation(alignment, share)(plain),
                "student",
            )
            yield adapted
            if share == SHARES[1]:
                yield from reranked(adapted)


def of_teacher(scene: Scene) -> Iterator[Way]:
    rows = scene.queries("teacher")
    asis = Way("teacher", "teacher", "as it is: what all is compared with", rows, "teacher")
    about = Way("teacher-centred", "teacher, about the gallery's mean", "the help of an alignment",
                unit(rows - scene.gallery("teacher").mean(axis=0)), "teacher")  # fmt: skip
    for way in (asis, about):
        yield way
        yield from reranked(way)


def of_views(scene: Scene, whole: Alignment) -> Iterator[Way]:
    """Rows of several views, averaged."""
    told = {
        ("flip",): "mirrored too",
        ("zoom",): "enlarged too",
        ("flip", "zoom"): "mirrored and enlarged too",
    }
    for views, label in told.items():
        rows = unit(np.sum([scene.queries(who) for who in ("student", *views)], axis=0))
        passes, name = 1 + len(views), "-".join(views)
        about = f"the mean of {passes} views"
        yield Way(name, f"student, {label}", about, rows, "student", views=passes)
        yield Way(f"aligned-{name}", f"student, aligned, {label}", about, whole(rows), "student",
                  views=passes)  # fmt: skip


def aligned(scene: Scene, whole: Alignment) -> Iterator[Way]:
    plain = scene.queries("student")
    started = time.thread_time()
    for row in plain[:_TIMED]:
        whole(row[None])
    took_ms = 1000 * (time.thread_time() - started) / len(plain[:_TIMED])
    all_of_it = Way("aligned", "student, aligned", "by all of the gallery's photographs",
                    whole(plain), "student", cost_ms=took_ms)  # fmt: skip
    yield all_of_it
    yield from reranked(all_of_it)
    for count in FEWER:
        fewer = scene.alignment("student", count)
        yield replace(all_of_it, name=f"aligned-{count}", label=f"student, aligned by {count}",
                      about="of its photographs", q=fewer(plain))  # fmt: skip
    if "int8" in scene.rows:
        rows = scene.alignment("int8")(scene.queries("int8"))
        yield replace(all_of_it, name="aligned-int8", label="student, int8, aligned", q=rows,
                      encoder="int8")  # fmt: skip


def reranked(way: Way) -> Iterator[Way]:
    stem = "" if way.name == "student" else f"{way.name}-"
    for name in RERANKINGS:
        yield replace(way, name=f"{stem}{name}", label=f"{way.label}, {name}",
                      about="its best 400 ordered again", rerank=name)  # fmt: skip


def judged(scene: Scene, way: Way) -> tuple[Figures, float]:
    """mAP and P@1, and the processor's milliseconds of a query beside its passes."""
    asked = scene.asked
    q, x = way.q[asked.matched], scene.gallery(way.holds)
    order, took_ms = np.argsort(-(q @ x.T), axis=1, kind="stable"), way.cost_ms
    if way.rerank:
        again, started = RERANKINGS[way.rerank], time.thread_time()
        for query, ranking in zip(q, order, strict=True):
            pool = ranking[:POOL].copy()
            ranking[: len(pool)] = pool[np.argsort(-again(query, x[pool]), kind="stable")]
        took_ms += 1000 * (time.thread_time() - started) / len(q)
    relevant = np.take_along_axis(asked.same[asked.matched], order, axis=1)
    figures = Figures(
        mean_ap=float(average_precision(relevant).mean()),
        precision_at_1=float(relevant[:, 0].mean()),
    )
    return figures, took_ms
