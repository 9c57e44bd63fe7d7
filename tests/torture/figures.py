"""What a test of a row saw, told to the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

Fold = Callable[[Iterable[float]], float]
FOLDS: dict[str, Fold] = {"max": max, "min": min, "sum": sum}


class RecordFigure(Protocol):
    """Say a figure before asserting it; `fold`: max, min or sum, over the row's tests."""

    def __call__(self, label: str, value: float, *, fold: Fold = max) -> None: ...


@pytest.fixture
def record_figure(request: pytest.FixtureRequest) -> RecordFigure:
    def record(label: str, value: float, *, fold: Fold = max) -> None:
        assert fold in FOLDS.values(), "fold is max, min or sum"
        name = next(name for name, known in FOLDS.items() if known is fold)
        request.node.user_properties.append(("figure", (label, float(value), name)))

    return record
