"""Fewer ranked galleries a picture: laying out seven takes seconds on a busy core."""

from __future__ import annotations

import pytest

from training.pictures import ranked_galleries


@pytest.fixture(autouse=True)
def few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked_galleries, "QUERIES", 3)
