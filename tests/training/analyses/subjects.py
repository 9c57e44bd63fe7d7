"""Subjects of unit rows around class centres, without photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.analyses.subject import Subject


def subject(
    *, classes: int = 4, per_class: int = 6, dim: int = 16, spread: float = 0.4, seed: int = 0
) -> Subject:
    """The student is the teacher with noise; everything asks everything else."""
    random = np.random.default_rng(seed)
    count = classes * per_class
    labels = np.repeat(np.arange(classes), per_class)
    centres = random.standard_normal((classes, dim))
    teacher = centres[labels] + spread * random.standard_normal((count, dim))
    student = teacher + spread * random.standard_normal((count, dim))
    return Subject(
        made_by=("a teacher (as it is)", "a student (as it is)"),
        folder=Path("things"),
        paths=tuple(Path("things") / f"class{c}" / f"{n}.jpg" for n, c in enumerate(labels)),
        names=tuple(f"class{c}" for c in range(classes)),
        labels=labels,
        teacher=_unit(teacher),
        student=_unit(student),
        queries=np.arange(count),
        gallery=np.arange(count),
        is_leave_one_out=True,
    )


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
