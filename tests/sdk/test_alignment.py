"""The closed form against a slow solver, and what it must not do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from lorgnette.alignment import (
    MIN_PHOTOGRAPHS,
    STRENGTHS,
    Alignment,
    is_alike,
    learn_alignment,
)
from lorgnette.errors import InvalidConfiguration, InvalidVector

Array = NDArray[np.float64]


def _unit(rows: Array) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _gallery(seed: int, count: int, *, dim: int = 12) -> tuple[NDArray[np.float32], ...]:
    """Teacher's rows, and those of a student that sees them turned, shifted and blurred."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=(count, dim))
    turn = np.eye(dim) + 0.4 * np.random.default_rng(9).normal(size=(dim, dim)) / np.sqrt(dim)
    offset = np.random.default_rng(8).normal(size=dim)
    student = truth @ turn + offset + 0.2 * random.normal(size=(count, dim))
    return _unit(student), _unit(truth)


def test_the_matrix_is_the_minimum_of_the_documented_objective() -> None:
    """By a general minimiser in float64 that knows nothing of the closed form."""
    student, teacher = _gallery(0, 40, dim=4)
    learned = learn_alignment(student, teacher)
    a = student.astype(np.float64) - student.mean(axis=0, dtype=np.float64)
    b = teacher.astype(np.float64) - teacher.mean(axis=0, dtype=np.float64)

    def objective(flat: Array) -> float:
        w = flat.reshape(4, 4)
        fit = np.square(a @ w - b).sum() / len(a)
        return float(fit + learned.strength * np.square(a).mean() * np.square(w - np.eye(4)).sum())

    found = minimize(objective, np.eye(4).ravel(), method="BFGS", options={"gtol": 1e-10})
    np.testing.assert_allclose(learned.matrix.ravel(), found.x, atol=1e-6)
    np.testing.assert_allclose(learned.origin, student.mean(axis=0), atol=1e-6)


def test_photographs_it_has_not_seen_come_nearer_to_their_teacher() -> None:
    learned = learn_alignment(*_gallery(0, 200))
    student, teacher = _gallery(1, 300)
    about = teacher - _gallery(0, 200)[1].mean(axis=0)
    wanted = about / np.linalg.norm(about, axis=1, keepdims=True)
    before, after = ((rows * wanted).sum(axis=1).mean() for rows in (student, learned(student)))
    assert after > before + 0.2
    assert learned.after == pytest.approx(after, abs=0.03)
    assert learned.before == pytest.approx(before, abs=0.03)


def test_few_photographs_are_held_nearer_to_the_identity_than_many() -> None:
    few, many = (learn_alignment(*_gallery(2, count)) for count in (20, 2000))
    assert few.strength > many.strength
    assert {few.strength, many.strength} <= set(STRENGTHS)


def test_a_student_that_is_its_teacher_only_loses_the_mean() -> None:
    _, teacher = _gallery(3, 100)
    learned = learn_alignment(teacher, teacher)
    np.testing.assert_allclose(learned.matrix, np.eye(12), atol=1e-6)
    centred = teacher - teacher.mean(axis=0)
    wanted = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(learned(teacher), wanted, atol=1e-5)


def test_mapped_rows_are_unit_float32_each_by_itself() -> None:
    learned = learn_alignment(*_gallery(4, 64))
    student, _ = _gallery(5, 9)
    mapped = learned(student)
    assert mapped.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(mapped, axis=1), 1, atol=1e-6)
    for row, alone in zip(mapped, student, strict=True):
        np.testing.assert_allclose(learned(alone[None])[0], row, atol=1e-6)


def test_a_gallery_of_one_photograph_many_times_is_no_division_by_zero() -> None:
    same = np.repeat(_gallery(6, 1)[0], 32, axis=0)
    learned = learn_alignment(same, same)
    assert np.isfinite(learned.matrix).all()
    with pytest.raises(InvalidVector):
        learned(learned.origin[None])
    assert is_alike(same)
    same[3] = _gallery(5, 1)[0]
    assert not is_alike(same)


def test_too_few_photographs_are_refused_with_the_number_needed() -> None:
    student, teacher = _gallery(7, MIN_PHOTOGRAPHS - 1)
    with pytest.raises(InvalidConfiguration, match=str(MIN_PHOTOGRAPHS)):
        learn_alignment(student, teacher)


def test_rows_of_different_photographs_are_refused() -> None:
    student, teacher = _gallery(7, 30)
    with pytest.raises(InvalidConfiguration, match="same photographs"):
        learn_alignment(student, teacher[1:])


def test_an_alignment_is_a_value() -> None:
    learned = learn_alignment(*_gallery(0, 30))
    assert isinstance(learned, Alignment)
    with pytest.raises(AttributeError):
        learned.strength = 1.0  # type: ignore[misc]
