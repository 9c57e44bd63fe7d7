"""An int8 variant of a bundle: calibrated, its sensitive parts left in float32, its cost measured.

Runs on the CPU's integer dot products (VNNI, dotprod), for which it is the fast variant; browsers
have none for it and take fp16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from pydantic import JsonValue

from export.graph import copy_of
from export.int8_graph import (
    Parts,
    parts_of,
    ranges_of,
    with_float32,
    with_int8,
    with_small_storage,
)
from export.int8_recall import Judge, Recall, read_judge, recall, require_same_space
from export.portable import require_portable
from export.progress import progress_bar
from export.publish import FILE_NAMES, entry_of, require_free, write_bundle
from export.runtime import open_session
from export.samples import Pixels, Sample, calibration_samples
from lorgnette.bundle import Bundle
from lorgnette.encoder import INPUT_NAME
from lorgnette.errors import InvalidBundle, InvalidConfiguration
from lorgnette.manifest import Manifest
from lorgnette.vectors import Vectors

SENSITIVITY_BUDGET = 0.003
"""1 - cosine that eight bits may cost, as the sum of what each part costs alone. Parts are left in
float32 from the image on, until the rest keep within it: the early ones cost most, and every change
between the two arithmetics takes time. On Lite0 that leaves the stem and stage 0 in float32, which
was also the fastest of five choices tried."""

SENSITIVITY_IMAGES = 32


@dataclass(frozen=True)
class Quantised:
    """The serialised graphs, and how the parts were chosen.

    sensitivity: 1 - mean cosine to float32 with that part alone in eight bits.
    """

    float32: bytes
    int8: bytes
    sensitivity: dict[str, float]
    kept_float: tuple[str, ...]
    photographs: int


@dataclass(frozen=True)
class Added:
    """The bundle as written, and what was measured before."""

    bundle: Bundle
    quantised: Quantised
    recall: Recall


def add_int8(
    directory: Path, *, out: Path, calibration: Path, judge: Judge, replace: bool
) -> Added:
    """Write the bundle of `directory` to `out`, or over itself, with an int8 variant.

    replace: a bundle at `out` may be replaced.

    Raises `InvalidBundle`, `InvalidConfiguration`, `SpaceMismatch`, `InvalidImage` or `DiskFull`;
    then nothing was written.
    """
    bundle = Bundle.open(directory)
    require_free(out, replace=replace)
    require_same_space(judge, bundle)
    protocol = read_judge(judge)
    samples = calibration_samples(calibration)
    with progress_bar() as progress:
        task = progress.add_task("measuring ranges", total=len(samples))
        quantised = quantise(_float_graph(bundle), samples, on_image=lambda: progress.advance(task))
        task = progress.add_task("measuring recall", total=len(protocol.paths))
        found = recall(
            judge,
            protocol,
            float32=quantised.float32,
            int8=quantised.int8,
            on_image=lambda: progress.advance(task),
        )
    manifest = _with_variant(bundle.manifest, quantised, found, evaluated=judge.folder.name)
    files = {e.path: (directory / e.path).read_bytes() for e in bundle.manifest.all_files()}
    files[FILE_NAMES["int8"]] = quantised.int8
    return Added(write_bundle(out, manifest, files), quantised, found)


def quantise(
    model: onnx.ModelProto,
    samples: Sequence[Sample],
    *,
    on_image: Callable[[], None] = lambda: None,
) -> Quantised:
    """Quantise a whole encoder, `image_u8` to the row, on photographs of calibration."""
    plain = with_float32(model)
    images = _resized(plain, samples)
    ranges = ranges_of(plain, images, on_image=on_image)
    parts = parts_of(plain)
    judges = images[:: max(1, len(images) // SENSITIVITY_IMAGES)]
    wanted = _embedded(plain, judges)
    costs = {
        part: _cost(_embedded(with_int8(plain, ranges, nodes), judges), wanted)
        for part, nodes in parts.items()
    }
    kept = _left_in_float(costs)
    chosen = _nodes(parts, [part for part in parts if part not in kept])
    int8 = with_small_storage(with_int8(plain, ranges, chosen))
    require_portable(int8, input_name=INPUT_NAME)
    return Quantised(
        float32=plain.SerializeToString(deterministic=True),
        int8=int8.SerializeToString(deterministic=True),
        sensitivity=costs,
        kept_float=kept,
        photographs=len(images),
    )


def _float_graph(bundle: Bundle) -> onnx.ModelProto:
    has = [variant for variant in ("fp32", "fp16") if variant in bundle.manifest.files]
    if not has:
        raise InvalidBundle(
            f"{bundle.directory} has neither fp32 nor fp16, expected a float variant to quantise: "
            "export the model again with one of them"
        )
    return onnx.load(bundle.file("fp32" if "fp32" in has else "fp16"))


def _resized(model: onnx.ModelProto, samples: Sequence[Sample]) -> list[Pixels]:
    """The photographs as the network sees them, uint8 `[S, S, 3]`, by the graph's own resize."""
    resize = next((node for node in model.graph.node if node.op_type == "Resize"), None)
    if resize is None:
        raise InvalidBundle("the graph has no Resize, expected the encoder `lorgnette export` made")
    wider = copy_of(model)
    del wider.graph.output[:]
    wider.graph.output.append(
        helper.make_tensor_value_info(resize.output[0], TensorProto.UINT8, [1, 3, "S", "S"])
    )
    session = open_session(wider.SerializeToString())
    return [
        np.ascontiguousarray(session.run(None, {INPUT_NAME: sample()})[0][0].transpose(1, 2, 0))
        for sample in samples
    ]


def _embedded(model: onnx.ModelProto, images: Sequence[Pixels]) -> Vectors:
    session = open_session(model.SerializeToString())
    rows: Vectors = np.concatenate([session.run(None, {INPUT_NAME: image})[0] for image in images])
    return rows


def _cost(found: Vectors, wanted: Vectors) -> float:
    return float(1 - (found * wanted).sum(axis=1).mean())


def _left_in_float(costs: dict[str, float]) -> tuple[str, ...]:
    """The first parts, until the others' sum is within the budget; never all of them."""
    names = list(costs)
    for count in range(len(names)):
        if sum(costs[name] for name in names[count:]) <= SENSITIVITY_BUDGET:
            break
    return tuple(names[:count])


def _nodes(parts: Parts, chosen: Sequence[str]) -> list[str]:
    return [node for part in chosen for node in parts[part]]


def _with_variant(
    manifest: Manifest, quantised: Quantised, found: Recall, *, evaluated: str
) -> Manifest:
    entry = entry_of(FILE_NAMES["int8"], quantised.int8, recall_delta=round(found.delta, 6))
    figures: dict[str, JsonValue] = {
        "calibration_photographs": quantised.photographs,
        "kept_float": list(quantised.kept_float),
        "sensitivity": {part: round(cost, 6) for part, cost in quantised.sensitivity.items()},
        "evaluated_on": evaluated,
        **found.described(),
    }
    provenance = manifest.provenance
    metrics = {**provenance.metrics, "int8": figures}
    changed = manifest.model_copy(
        update={
            "files": {**manifest.files, "int8": entry},
            "provenance": provenance.model_copy(update={"metrics": metrics}),
        }
    )
    return Manifest.parse(changed.dump())


def require_photographs(calibration: Path | None, evaluate: Path | None) -> tuple[Path, Path]:
    """Both folders, without which no int8 is written. Raises `InvalidConfiguration`."""
    if calibration is None or evaluate is None:
        missing = "--calibration" if calibration is None else "--evaluate"
        raise InvalidConfiguration(
            f"int8 needs {missing} DIR, found none: its ranges come from real photographs "
            "(--calibration) and its loss of recall is measured on others (--evaluate); give "
            "both, or leave int8 out"
        )
    return calibration, evaluate
