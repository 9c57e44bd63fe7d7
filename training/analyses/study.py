"""The analyses of a teacher and its student on one data set, at fixed and at drawn λ."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from training.analyses.geometry import alignment, cross_alignment, uniformity, utilisation
from training.analyses.positivity import (
    closed_form,
    each_alone,
    multi_similarity_threshold,
    pulled,
)
from training.analyses.subject import Subject
from training.losses.pair import MultiSimilarity
from training.mixing import Mix, draw_mix, mixed_embeddings, mixed_pairs
from training.mixing_spec import MixSpec
from training.pairs import Identity, Pairs, pair_up, same_view

SHARES = tuple(round(0.05 * n, 2) for n in range(1, 20))
"""The λ at which positivity is measured."""

_MOST_ROWS = 1_000
"""Queries and gallery rows that are mixed, drawn at random: `[A, V]` has a million entries."""


@dataclass(frozen=True)
class Geometry:
    """See `training.analyses.geometry`; `crossed` is the student's queries to the teacher's rows.

    utilisation_mixed: of the gallery together with its mixed embeddings.
    """

    alignment_teacher: float
    alignment_student: float
    alignment_crossed: float
    uniformity_teacher: float
    uniformity_student: float
    utilisation: float
    utilisation_mixed: float


@dataclass(frozen=True)
class Positivity:
    """Share of mixed embeddings that multi-similarity pulls, by λ; all in [0, 1].

    alone: by autograd, each the only pair of its anchor.  predicted: the closed form, its
    distribution of s taken from another draw.  together: by autograd, all pairs of an anchor in
    one loss.  drawn: alone, over λ ~ Beta(α, α).
    """

    shares: tuple[float, ...]
    alone: tuple[float, ...]
    predicted: tuple[float, ...]
    together: tuple[float, ...]
    drawn: float


@dataclass(frozen=True)
class Mixable:
    """Queries `[A, D]` of the student and gallery rows `[X, D]` of the teacher, and their pairs."""

    anchors: Tensor
    others: Tensor
    pairs: Pairs
    own: Tensor

    def similarities(self, mix: Mix) -> Tensor:
        """float64 `[A, V]`: anchors and mixed columns."""
        return self.anchors.double() @ mixed_embeddings(self.others, mix).double().T


def study_geometry(subject: Subject, mix: MixSpec, *, seed: int) -> Geometry:
    """Figures of the queries and the gallery.

    In leave-one-out they are the same photographs, and a query must not be its own neighbour: then
    every second photograph of a class asks and the others are the gallery.
    """
    asking, held = _sides(subject)
    teacher, student, labels = subject.teacher, subject.student, subject.labels
    mixed = _mixed_gallery(teacher[held], labels[held], mix, seed=seed)
    both = np.concatenate([teacher[held], mixed])
    return Geometry(
        alignment_teacher=alignment(teacher, labels),
        alignment_student=alignment(student, labels),
        alignment_crossed=cross_alignment(
            student[asking], labels[asking], teacher[held], labels[held]
        ),
        uniformity_teacher=uniformity(teacher),
        uniformity_student=uniformity(student),
        utilisation=utilisation(student[asking], teacher[held]),
        utilisation_mixed=utilisation(student[asking], both),
    )


def study_positivity(
    subject: Subject, loss: MultiSimilarity, mix: MixSpec, *, seed: int
) -> Positivity:
    """Mix the teacher's rows, compare the student's queries with them, ask the loss.

    Raises `InvalidConfiguration` when no query has both a positive and a negative to mix.
    """
    mixable = _mixable(subject, seed=seed)
    generator = np.random.default_rng(seed)
    measured = _drawn(mixable, mix, generator=generator)
    reference = _drawn(mixable, mix, generator=generator)
    alone, predicted, together = [], [], []
    for share in SHARES:
        alone.append(_share_alone(loss, mixable, _at(measured, share)))
        threshold = multi_similarity_threshold(
            torch.tensor(share, dtype=torch.float64),
            alpha=loss.alpha,
            beta=loss.beta,
            base=loss.base,
        )
        sample = _at(reference, share)
        predicted.append(float(closed_form(mixable.similarities(sample)[sample.used], threshold)))
        together.append(_share_together(loss, mixable, _at(measured, share)))
    drawn = _share_alone(loss, mixable, measured)
    return Positivity(SHARES, tuple(alone), tuple(predicted), tuple(together), drawn)


def _sides(subject: Subject) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not subject.is_leave_one_out:
        return subject.queries, subject.gallery
    order = np.argsort(subject.labels, kind="stable").astype(np.int64)
    return order[1::2], order[::2]


def _mixable(subject: Subject, *, seed: int) -> Mixable:
    random = np.random.default_rng(seed)
    asking = random.permutation(subject.queries)[:_MOST_ROWS]
    held = random.permutation(subject.gallery)[:_MOST_ROWS]
    labels = torch.from_numpy(subject.labels)
    a, x = (Identity(rows, labels[rows]) for rows in map(torch.from_numpy, (asking, held)))
    return Mixable(
        anchors=torch.from_numpy(subject.student[asking]),
        others=torch.from_numpy(subject.teacher[held]),
        pairs=pair_up(a, x, self_pair="ignore"),
        own=same_view(a, x),
    )


def _drawn(mixable: Mixable, spec: MixSpec, *, generator: np.random.Generator) -> Mix:
    mix = draw_mix(mixable.pairs, spec, own=mixable.own, generator=generator)
    if not len(mix.first):
        raise InvalidConfiguration(
            "no query has both a positive and a negative in the gallery to mix: choose a data set "
            "with at least two classes, and two photographs of one"
        )
    return mix


def _mixed_gallery(
    rows: Vectors, labels: NDArray[np.int64], spec: MixSpec, *, seed: int
) -> Vectors:
    some = np.random.default_rng(seed).permutation(len(rows))[:_MOST_ROWS]
    who = Identity(torch.from_numpy(some), torch.from_numpy(labels[some]))
    mixable = Mixable(
        anchors=torch.from_numpy(rows[some]),
        others=torch.from_numpy(rows[some]),
        pairs=pair_up(who, who, self_pair="ignore"),
        own=same_view(who, who),
    )
    mix = _drawn(mixable, spec, generator=np.random.default_rng(seed))
    mixed: Vectors = mixed_embeddings(mixable.others, mix).numpy()
    return mixed


def _at(mix: Mix, share: float) -> Mix:
    return replace(mix, share=torch.full_like(mix.share, share))


def _share_alone(loss: MultiSimilarity, mixable: Mixable, mix: Mix) -> float:
    y = mixed_pairs(mixable.pairs, mix).y[mix.used]
    s, pairs = each_alone(mixable.similarities(mix)[mix.used], y.double())
    return float(pulled(loss, s, pairs).double().mean())


def _share_together(loss: MultiSimilarity, mixable: Mixable, mix: Mix) -> float:
    pairs = mixed_pairs(mixable.pairs, mix)
    is_pulled = pulled(loss, mixable.similarities(mix), pairs)
    return float(is_pulled[pairs.mask].double().mean())
