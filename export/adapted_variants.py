"""Every graph of a student with an adaptation behind it, each held against numpy.  No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from export.adapted_graph import Adaptation, with_adaptation, with_small_matrix
from export.portable import PIXELS_NAME, require_portable
from export.runtime import open_session
from export.samples import Pixels
from lorgnette.bundle import Bundle
from lorgnette.encoder import INPUT_NAME
from lorgnette.errors import ExportMismatch
from lorgnette.manifest import Variant
from lorgnette.vectors import Vectors

MIN_COSINE = 0.99999
"""Of an adapted graph's rows to those of the plain graph, adapted in numpy."""

Inputs = Sequence[NDArray[np.uint8] | NDArray[np.float32]]


def adapted_variants(
    bundle: Bundle, adaptation: Adaptation, photographs: Sequence[Pixels]
) -> dict[Variant, bytes]:
    """The serialised graphs by variant, but for `pre`, which an adaptation does not touch.

    The matrix is stored in float32 where the network's weights are, else in float16 if that costs
    nothing that can be measured. `net` is compared on noise: pixels come to it through `pre`.
    Raises `ExportMismatch` when a graph does not compute the adaptation.
    """
    size = bundle.manifest.input.size_px
    noise = np.random.default_rng(0).standard_normal((4, 3, size, size)).astype(np.float32)
    adapted: dict[Variant, bytes] = {}
    for variant in bundle.manifest.files:
        if variant == "net":
            adapted[variant] = _adapted(bundle, variant, adaptation, PIXELS_NAME, [noise])
        elif variant != "pre":
            adapted[variant] = _adapted(bundle, variant, adaptation, INPUT_NAME, photographs)
    return adapted


def _adapted(
    bundle: Bundle, variant: Variant, adaptation: Adaptation, input_name: str, inputs: Inputs
) -> bytes:
    content = bundle.file(variant).read_bytes()
    wanted = adaptation(_rows(content, input_name, inputs))
    exact = with_adaptation(onnx.load_from_string(content), adaptation)
    require_portable(exact, input_name=input_name)
    storages = [exact] if variant == "fp32" else [with_small_matrix(exact), exact]
    for model in storages:
        made: bytes = model.SerializeToString(deterministic=True)
        cosine = float((_rows(made, input_name, inputs) * wanted).sum(axis=1).min())
        if cosine >= MIN_COSINE:
            return made
    raise ExportMismatch(
        f"variant {variant} of the adapted student gives cosine {cosine:.6f} to the same map in "
        f"numpy, expected at least {MIN_COSINE}; nothing was written: use the versions of "
        "constraints.txt, or a smaller --share"
    )


def _rows(model: bytes, input_name: str, inputs: Inputs) -> Vectors:
    session = open_session(model)
    rows: Vectors = np.concatenate([session.run(None, {input_name: entry})[0] for entry in inputs])
    return rows
