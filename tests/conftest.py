"""Fixtures shared by every package's tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from tests.tiny_bundle import write_tiny_bundle
from tests.torture.figures import record_figure

__all__ = ["record_figure"]

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "torture_row(name): part of that row of `make torture`, see tests/torture"
    )


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny real gallery bundle."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "teacher", role="gallery")


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny real query bundle of the teacher's space."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "student", role="query")


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of real photographs, beside the checkout or named by LORGNETTE_PHOTOGRAPHS."""
    folder = Path(os.environ.get("LORGNETTE_PHOTOGRAPHS", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the real photographs: no folder {folder}")
    return folder
