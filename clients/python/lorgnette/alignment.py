"""How one student's rows are brought to one gallery: learned from photographs, without labels.

A student errs in ways of its own, and on photographs of one kind the errors are much alike: an
offset common to all, and a linear map beside it. Whoever keeps a gallery has its photographs and
their teacher's rows, so both are learned in closed form, in seconds, for each student and gallery.
Nothing changes on the device or in the index: queries are mapped on the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors, unit_rows

MIN_PHOTOGRAPHS: Final = 16
"""Fewer say too little about a gallery: its mean would be theirs."""

STRENGTHS: Final = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e6)
"""How strongly the map may be held to the identity; the last leaves only the offset."""

_FOLDS: Final = 5

_ALIKE: Final = 1e-4
"""Rows nearer to their mean are of the same photograph: float32 rounds at 1e-7."""


@dataclass(frozen=True)
class Alignment:
    """An affine map of a student's unit rows: `unit((x - origin) @ matrix)`.

    origin: `[D]` float32, the student's mean row over the gallery.  matrix: `[D, D]` float32.
    target: `[D]` float32, the teacher's mean row: what the mapped rows are about.
    photographs: learned from so many.  strength: of the pull to the identity, as chosen.
    before, after: mean cosine of held-out student's and teacher's rows, the teacher's about their
    mean, in [-1, 1]: of the student's rows as they are, and mapped.
    """

    origin: NDArray[np.float32]
    matrix: NDArray[np.float32]
    target: NDArray[np.float32]
    photographs: int
    strength: float
    before: float
    after: float

    def __call__(self, rows: Vectors) -> Vectors:
        """Map unit rows `[N, D]`. Raises `InvalidVector` for one that lies on the origin."""
        return unit_rows((rows - self.origin) @ self.matrix, dim=len(self.origin))

    def of_teacher(self, rows: Vectors) -> Vectors:
        """The teacher's own rows `[N, D]` of queries, about the gallery's mean like mapped ones."""
        return unit_rows(rows - self.target, dim=len(self.target))


def is_alike(rows: Vectors) -> bool:
    """Whether unit rows `[N, D]`, N > 0, all are of the same photograph.

    About the mean of equal rows is only rounding: mapped, their queries would point nowhere.
    """
    return bool(np.linalg.norm(rows - rows.mean(axis=0), axis=1).max() < _ALIKE)


def learn_alignment(student: Vectors, teacher: Vectors) -> Alignment:
    """Learn from unit rows `[N, D]` of the same photographs, row by row, by student and teacher.

    Ridge regression of the teacher's rows about their mean on the student's about theirs, held to
    the identity instead of zero:  min ‖A W - B‖² / N + s e ‖W - I‖²,  e the mean square of A's
    elements.  The strength s is the one whose rows, of photographs left out, have the greatest
    mean cosine with the teacher's, in five folds.  The target is centred, so a mapped query asks
    what sets an item apart from the others of its gallery, not what all of them share.

    Raises `InvalidConfiguration` for fewer than `MIN_PHOTOGRAPHS` rows, or not as many of both.
    """
    _require_enough_pairs(student, teacher)
    x, y = student.astype(np.float64), teacher.astype(np.float64)
    cosines = _held_out(x, y)
    best = int(np.argmax(cosines))
    fit = _Fit.of(x, y)
    return Alignment(
        origin=fit.student_mean.astype(np.float32),
        matrix=fit.matrix(STRENGTHS[best]).astype(np.float32),
        target=fit.teacher_mean.astype(np.float32),
        photographs=len(x),
        strength=STRENGTHS[best],
        before=float(np.mean(_cosines(x, y - fit.teacher_mean))),
        after=float(cosines[best]),
    )


def _require_enough_pairs(student: Vectors, teacher: Vectors) -> None:
    if student.shape != teacher.shape:
        raise InvalidConfiguration(
            f"expected rows of the same photographs, found {student.shape} of the student's and "
            f"{teacher.shape} of the teacher's: embed each photograph with both"
        )
    if len(student) < MIN_PHOTOGRAPHS:
        raise InvalidConfiguration(
            f"expected at least {MIN_PHOTOGRAPHS} photographs to learn an alignment from, found "
            f"{len(student)}: searches stay as they are until the gallery has grown"
        )


@dataclass(frozen=True)
class _Fit:
    """The regression solved for every strength at once, by the eigenvectors of A's covariance.

    energies: `[D]` eigenvalues.  axes: `[D, D]`, a column each.
    pull: `[D, D]`, axesᵀ Aᵀ(B - A) / N.
    """

    student_mean: NDArray[np.float64]
    teacher_mean: NDArray[np.float64]
    energies: NDArray[np.float64]
    axes: NDArray[np.float64]
    pull: NDArray[np.float64]

    @classmethod
    def of(cls, student: NDArray[np.float64], teacher: NDArray[np.float64]) -> _Fit:
        student_mean, teacher_mean = student.mean(axis=0), teacher.mean(axis=0)
        a, b = student - student_mean, teacher - teacher_mean
        energies, axes = np.linalg.eigh(a.T @ a / len(a))
        pull = axes.T @ (a.T @ (b - a)) / len(a)
        return cls(student_mean, teacher_mean, energies.clip(min=0), axes, pull)

    def matrix(self, strength: float) -> NDArray[np.float64]:
        held = self.energies + strength * max(float(self.energies.mean()), 1e-12)
        change: NDArray[np.float64] = self.axes @ (self.pull / held[:, None])
        return np.eye(len(held)) + change


def _held_out(student: NDArray[np.float64], teacher: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean cosine `[S]` for each strength, of rows that the map was not learned from."""
    fold = np.random.default_rng(0).permutation(len(student)) % _FOLDS
    cosines = np.zeros((len(STRENGTHS), len(student)))
    for out in (fold == n for n in range(_FOLDS)):
        fit = _Fit.of(student[~out], teacher[~out])
        for row, strength in zip(cosines, STRENGTHS, strict=True):
            mapped = (student[out] - fit.student_mean) @ fit.matrix(strength)
            row[out] = _cosines(mapped, teacher[out] - fit.teacher_mean)
    mean: NDArray[np.float64] = cosines.mean(axis=1)
    return mean


def _cosines(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float64] = (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)
    return cosines
