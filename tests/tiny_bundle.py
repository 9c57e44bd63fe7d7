"""Real ONNX bundles of a few kilobytes: an 8 × 8 thumbnail times a random matrix.

Gallery and query bundles of one `space_seed` share the matrix, up to the query's small noise, so
that a student's vector finds its photo; another seed is another space of the same dimension.
"""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import INPUT_NAME
from lorgnette.manifest import (
    SCHEMA_VERSION,
    BundleFile,
    Golden,
    InputSpec,
    Manifest,
    Provenance,
    Role,
    Space,
)

SIDE = 16


def space_of(space_seed: int, *, dim: int = 16) -> Space:
    digest = hashlib.sha256(f"tiny {space_seed} {dim}".encode()).hexdigest()[:12]
    return Space(id=f"tiny-{digest}", dim=dim)


def write_tiny_bundle(
    directory: Path,
    *,
    role: Role,
    space_seed: int = 0,
    dim: int = 16,
    name: str | None = None,
    version: str = "1",
) -> Bundle:
    """Write a bundle of the given role and open it."""
    (directory / "golden").mkdir(parents=True)
    matrix = np.random.default_rng(space_seed).standard_normal((3 * SIDE * SIDE, dim))
    if role == "query":
        matrix += 0.05 * np.random.default_rng(space_seed + 1000).standard_normal(matrix.shape)
    model = _graph(matrix.astype(np.float32))
    (directory / "model.onnx").write_bytes(model)
    pixels = np.random.default_rng(7).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, format="PNG")
    (directory / "golden" / "noise.png").write_bytes(png.getvalue())
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (vector,) = session.run(None, {INPUT_NAME: pixels})
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        role=role,
        name=name or f"tiny-{role}",
        version=version,
        space=space_of(space_seed, dim=dim),
        input=InputSpec(
            size_px=SIDE,
            resize="antialiased-bilinear-uint8",
            aspect="squash",
            mean=(0.5, 0.5, 0.5),
            std=(1 / 255, 1 / 255, 1 / 255),
        ),
        files={"fp32": _entry(directory, "model.onnx")},
        golden=(
            Golden(
                image=_entry(directory, "golden/noise.png"),
                vector_b64=base64.b64encode(vector.astype("<f4").tobytes()).decode(),
            ),
        ),
        provenance=Provenance(
            created="2026-01-01T00:00:00Z",
            git_commit="none",
            config_sha256="none",
            command="tests/tiny_bundle.py",
            weights="random",
            data=(),
            licences=(),
            metrics={},
        ),
    )
    (directory / MANIFEST_NAME).write_text(manifest.dump(), encoding="utf-8")
    return Bundle.open(directory)


def _entry(directory: Path, path: str) -> BundleFile:
    content = (directory / path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return BundleFile(path=path, sha256=digest, bytes=len(content), recall_delta=None)


def _graph(matrix: NDArray[np.float32]) -> bytes:
    """uint8 `[H, W, 3]` → antialiased 16 × 16 → `(x - 127.5) @ matrix` → unit row `[1, D]`."""
    constants = {
        "batch_axis": np.array([0], np.int64),
        "sizes": np.array([1, 3, SIDE, SIDE], np.int64),
        "half": np.array(127.5, np.float32),
        "flat": np.array([1, 3 * SIDE * SIDE], np.int64),
        "matrix": matrix,
    }
    nodes = [
        helper.make_node("Transpose", [INPUT_NAME], ["chw"], perm=[2, 0, 1]),
        helper.make_node("Unsqueeze", ["chw", "batch_axis"], ["nchw"]),
        helper.make_node(
            "Resize", ["nchw", "", "", "sizes"], ["small"], mode="linear", antialias=1
        ),
        helper.make_node("Cast", ["small"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "half"], ["centred"]),
        helper.make_node("Reshape", ["centred", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "matrix"], ["projected"]),
        helper.make_node("LpNormalization", ["projected"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["H", "W", 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, matrix.shape[1]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()
