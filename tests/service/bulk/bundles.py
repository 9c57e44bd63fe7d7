"""The tiny bundle's graph cut in two, as `net` and `pre`: what bulk embedding runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from onnx.utils import Extractor

from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import INPUT_NAME
from lorgnette.manifest import BundleFile
from tests.tiny_bundle import SIDE, write_tiny_bundle

PIXELS = ["N", 3, SIDE, SIDE]


def write_bulk_bundle(directory: Path, *, space_seed: int = 0) -> Bundle:
    """A gallery bundle with net and pre of the very operations of its model."""
    bundle = write_tiny_bundle(directory, role="gallery", space_seed=space_seed)
    model = onnx.load(directory / "model.onnx")
    model.graph.value_info.append(
        helper.make_tensor_value_info("centred", TensorProto.FLOAT, PIXELS)
    )
    # Any number of rows at once.
    for constant in model.graph.initializer:
        if constant.name == "flat":
            constant.CopyFrom(
                helper.make_tensor("flat", TensorProto.INT64, [2], [-1, 3 * SIDE * SIDE])
            )
    cut = Extractor(model)
    parts = {
        "pre": cut.extract_model([INPUT_NAME], ["centred"]),
        "net": cut.extract_model(["centred"], ["embedding"]),
    }
    files = dict(bundle.manifest.files)
    for name, part in parts.items():
        content = part.SerializeToString()
        (directory / f"{name}.onnx").write_bytes(content)
        files[name] = BundleFile(
            path=f"{name}.onnx",
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            recall_delta=None,
        )
    manifest = bundle.manifest.model_copy(update={"files": files})
    (directory / MANIFEST_NAME).write_text(manifest.dump(), encoding="utf-8")
    return Bundle.open(directory)
