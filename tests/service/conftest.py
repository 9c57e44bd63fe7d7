"""Fixtures of a gallery; a test file whose gallery is another makes its own of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.gallery.catalogue import Catalogue
from service.gallery.snapshot import LiveGallery


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """Empty."""
    with closing(Catalogue.open(tmp_path)) as opened:
        yield opened


@pytest.fixture
def gallery(tmp_path: Path, catalogue: Catalogue) -> Iterator[LiveGallery]:
    """Started over an empty catalogue; follows only when told to."""
    assert catalogue.seq() == 0
    live = LiveGallery(tmp_path, poll_s=3600)
    live.start()
    yield live
    live.close()
