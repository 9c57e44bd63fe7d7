"""An adaptation as the last nodes of an encoder: small rewrites of its graph.  No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.graph import copy_of, with_fp16_storage
from export.portable import OUTPUT_NAME
from lorgnette.alignment import Alignment
from lorgnette.vectors import Vectors, unit_rows

MATRIX_NAME = "adapt.matrix"

_MIN_LENGTH = 1e-12
"""Of what is divided by its length: zero stays zero, as it does in the network's own norm."""


@dataclass(frozen=True)
class Adaptation:
    """`y = unit((1 - share) x + share unit((x - origin) @ matrix))` of unit rows x.

    share: in (0, 1], of the alignment; the rest is the row as it was, which keeps the student at
    home among photographs of other kinds.
    """

    alignment: Alignment
    share: float

    def __call__(self, rows: Vectors) -> Vectors:
        """Adapt unit rows `[N, D]`. Raises `InvalidVector` for one without direction after it."""
        mixed = (1 - self.share) * rows + self.share * self.alignment(rows)
        return unit_rows(mixed, dim=rows.shape[1])


def with_adaptation(model: onnx.ModelProto, adaptation: Adaptation) -> onnx.ModelProto:
    """An encoder, or a `net`, whose rows are adapted; everything before is what it was."""
    adapted = copy_of(model)
    graph = adapted.graph
    plain = "adapt.plain"
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == OUTPUT_NAME:
                    names[place] = plain
    learned, share = adaptation.alignment, adaptation.share
    constants: dict[str, NDArray[np.generic]] = {
        "adapt.origin": learned.origin.astype(np.float32),
        MATRIX_NAME: learned.matrix.astype(np.float32),
        "adapt.share": np.array(share, np.float32),
        "adapt.rest": np.array(1 - share, np.float32),
        "adapt.axes": np.array([1], np.int64),
        "adapt.min": np.array(_MIN_LENGTH, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())
    graph.node.extend(
        [
            helper.make_node("Sub", [plain, "adapt.origin"], ["adapt.centred"]),
            helper.make_node("MatMul", ["adapt.centred", MATRIX_NAME], ["adapt.mapped"]),
            *_unit("adapt.mapped", "adapt.aligned"),
            helper.make_node("Mul", ["adapt.aligned", "adapt.share"], ["adapt.part"]),
            helper.make_node("Mul", [plain, "adapt.rest"], ["adapt.kept"]),
            helper.make_node("Add", ["adapt.kept", "adapt.part"], ["adapt.mixed"]),
            *_unit("adapt.mixed", OUTPUT_NAME),
        ]
    )
    onnx.checker.check_model(adapted, full_check=True)
    return adapted


def with_small_matrix(adapted: onnx.ModelProto) -> onnx.ModelProto:
    """The matrix stored as float16, and cast to float32 when the file is opened."""
    others = {entry.name for entry in adapted.graph.initializer} - {MATRIX_NAME}
    return with_fp16_storage(adapted, keep=others)


def _unit(name: str, out: str) -> list[onnx.NodeProto]:
    length, safe = f"{name}.length", f"{name}.safe"
    return [
        helper.make_node("ReduceL2", [name, "adapt.axes"], [length], keepdims=1),
        helper.make_node("Clip", [length, "adapt.min"], [safe]),
        helper.make_node("Div", [name, safe], [out]),
    ]
