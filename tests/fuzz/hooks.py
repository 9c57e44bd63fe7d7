"""What the document cannot say of one gallery: most of the valid requests name what it holds.

Loaded by schemathesis itself.
"""

from __future__ import annotations

import hashlib

import schemathesis
from schemathesis import Case, GenerationMode, HookContext

from tests.tiny_bundle import space_of

STUDENT = "tiny-query"
SPACE = space_of(0)


@schemathesis.hook
def map_case(context: HookContext, case: Case) -> Case:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return case
    drawn = repr((case.path, case.path_parameters, case.query, case.body))
    if hashlib.sha256(drawn.encode("utf-8", "replace")).digest()[0] % 4 == 0:
        return case
    if case.path.startswith("/models/"):
        case.path_parameters.update(name=STUDENT)
        if "path" in case.path_parameters:
            case.path_parameters.update(path="model.onnx")
    if isinstance(case.body, dict):
        case.body = {name: _held(name, value) for name, value in case.body.items()}
        # Beside JSON the options belong into it.
        case.query.clear()
    if "space" in case.query:
        case.query["space"] = SPACE.id
    return case


def _held(name: str, value: object) -> object:
    if name == "space" and value is not None:
        return SPACE.id
    if name == "filter":
        return None
    if name == "vectors" and isinstance(value, list):
        return [_fitted(row) for row in value] or [[1.0] * SPACE.dim]
    if name == "vector" and isinstance(value, list):
        return _fitted(value)
    return value


def _fitted(row: list[float]) -> list[float]:
    """The numbers, repeated to the length of the space's vectors; not all of them zero."""
    numbers = [*row, 1.0]
    return [numbers[n % len(numbers)] for n in range(SPACE.dim)]
