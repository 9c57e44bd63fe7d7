"""One thread for torch: two busy cores are shared, and results must not depend on a race."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.photographs import write_photographs
from tests.training.tiny_experiment import make, student_config, teacher_config
from training.runtime import run
from training.teacher import make_teacher


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/ and the trained teacher/ and student/."""
    root = tmp_path_factory.mktemp("experiment")
    write_photographs(root / "photos")
    with run(root / "teacher", threads=1):
        make_teacher(teacher_config(), root=root, out=root / "teacher", command="tests")
    make(student_config(), root, root / "student")
    return root
