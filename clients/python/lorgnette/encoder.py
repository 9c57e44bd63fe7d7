"""A bundle at work: pixels in, a unit row of the bundle's space out."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lorgnette.bundle import Bundle
from lorgnette.errors import GoldenMismatch, InvalidBundle, InvalidImage
from lorgnette.image import MAX_PIXELS, ImageSource, read_pixels
from lorgnette.manifest import Space, Variant
from lorgnette.processor import fast_variant, has_int8_dot_product
from lorgnette.vectors import unit_rows

if TYPE_CHECKING:
    import onnxruntime as ort

INPUT_NAME = "image_u8"

# Same pixels, another runtime: measured 1.0000000 for fp32; fp16 storage 0.99997; see docs.
GOLDEN_MIN_COSINE: dict[Variant, float] = {"fp32": 0.9999, "fp16": 0.9995, "int8": 0.97}


class Encoder:
    """Embeds photographs with one variant of a bundle. Thread-safe.

    variant: None takes the one that is fast here: int8 on processors with integer dot products,
    if its manifest says that it loses at most a point of recall, else fp16.
    The first use checks this machine's runtime against the bundle's golden vectors and raises
    `GoldenMismatch` when they are not reproduced.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        variant: Variant | None = None,
        threads: int = 1,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.bundle = bundle
        self.variant: Variant = variant or fast_variant(
            bundle, has_dot_product=has_int8_dot_product()
        )
        self._max_pixels = max_pixels
        self._session = _open_session(bundle, self.variant, threads=threads)
        self._checked = False
        self._check_lock = threading.Lock()

    @property
    def space(self) -> Space:
        """The space the vectors belong to."""
        return self.bundle.space

    @property
    def identity(self) -> str:
        """`<name>@<version>` of its bundle: what a search says of who embedded its vectors."""
        return self.bundle.manifest.identity

    def encode(self, image: ImageSource) -> NDArray[np.float32]:
        """Embed one photograph: the unit row `[D]`.

        Raises `InvalidImage` (or `ImageTooLarge`) for a photograph that cannot be read.
        """
        return self.encode_pixels(read_pixels(image, max_pixels=self._max_pixels))

    def encode_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed decoded pixels, uint8 sRGB `[H, W, 3]`: the unit row `[D]`."""
        self.check()
        return self._run(pixels)

    def check(self) -> None:
        """Compare with the golden vectors, once. Raises `GoldenMismatch` with the figure found."""
        with self._check_lock:
            if self._checked:
                return
            floor = GOLDEN_MIN_COSINE[self.variant]
            for case in self.bundle.golden():
                cosine = float(self._run(case.pixels) @ case.vector[0])
                if not cosine >= floor:
                    raise GoldenMismatch(
                        f"{self.bundle.manifest.name} ({self.variant}) gives cosine {cosine:.6f} "
                        f"on {case.name}, expected at least {floor}: the runtime on this machine "
                        "computes something else; use another variant or ONNX Runtime version"
                    )
            self._checked = True

    def _run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            raise InvalidImage(
                f"expected uint8 pixels [H, W, 3], found {pixels.dtype} {list(pixels.shape)}"
            )
        (row,) = self._session.run(None, {INPUT_NAME: np.ascontiguousarray(pixels)})
        checked: NDArray[np.float32] = unit_rows(row, dim=self.space.dim)[0]
        return checked


def _open_session(bundle: Bundle, variant: Variant, *, threads: int) -> ort.InferenceSession:
    if variant not in GOLDEN_MIN_COSINE:
        raise InvalidBundle(f"variant {variant!r} is not an encoder: use fp16, fp32 or int8")
    path = bundle.file(variant)
    session = open_graph(path, threads=threads)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if [entry.name for entry in inputs] != [INPUT_NAME] or len(outputs) != 1:
        raise InvalidBundle(f"{path} is not an encoder: expected one input {INPUT_NAME!r}")
    return session


def open_graph(path: Path, *, threads: int) -> ort.InferenceSession:
    """An ONNX file of a bundle, on the CPU. Raises `InvalidBundle` when it cannot be loaded."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session: ort.InferenceSession = runtime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    # onnxruntime raises a dozen unrelated pybind classes for a model it cannot load.
    except Exception as error:
        raise InvalidBundle(f"ONNX Runtime cannot load {path}: {error}") from error
    return session


def _runtime() -> ModuleType:
    """ONNX Runtime, told to be silent before it is loaded.

    From 1.32 on it sends events to its makers and keeps a device id in the user's cache, unless
    this variable is set before its first import; a later one is ignored. Set it to 0 to allow it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    runtime: ModuleType = onnxruntime
    return runtime
