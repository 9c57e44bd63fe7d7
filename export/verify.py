"""Whether exported graphs are the trained network: nothing is written before this says so.

Two libraries never resize uint8 alike to the last bit (both round twice), and one grey level in
a hundredth of the pixels already moves a unit row by up to 1e-4. So three things are held apart:
the resize, in grey levels; the network, on the same resized pixels; and the whole, end to end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torchvision.transforms.v2.functional as transforms
from numpy.typing import NDArray
from torch import Tensor

from export.portable import PIXELS_NAME
from export.runtime import open_session
from export.samples import Pixels, Sample
from lorgnette.encoder import INPUT_NAME
from lorgnette.errors import ExportMismatch
from lorgnette.manifest import InputSpec
from lorgnette.vectors import Vectors
from training.models.embedder import Embedder

Embedding = Literal["fp32", "fp16", "net"]
"""The variants that end in an embedding; `net` is run behind `pre`, four images a batch."""

MIN_COSINE: dict[Embedding, float] = {"fp32": 0.99999, "fp16": 0.9995, "net": 0.9995}
"""To the trained network in torch, on the same resized pixels."""

MIN_COSINE_END_TO_END = 0.999
"""To torch behind torchvision's resize; measured >= 0.9998 on photographs."""

MAX_RESIZE_MEAN = 0.1
MAX_RESIZE = 3.0
"""Grey levels of 255 to torchvision's resize of the same image; measured 0.05 and 2."""

BATCH = 4


@dataclass(frozen=True)
class Agreement:
    """How near one variant comes to torch. Cosines over all images; ms: median for one image.

    centred_min: after subtracting the images' mean row from both, which is far stricter.
    """

    variant: Embedding
    cosine_min: float
    cosine_mean: float
    centred_min: float
    end_to_end_min: float
    ms: float


@dataclass(frozen=True)
class Report:
    """What was measured. resize_mean, resize_max: the worst image's, in grey levels of 255."""

    images: int
    resize_mean: float
    resize_max: float
    agreements: tuple[Agreement, ...]


@dataclass(frozen=True)
class Subject:
    """The trained network, and the serialised graphs said to be the same as it."""

    embedder: Embedder
    input: InputSpec
    pre: bytes
    embeddings: dict[Embedding, bytes]


@dataclass
class _Rows:
    """Rows `[1, D]` by variant and image; times in seconds an image."""

    same_pixels: list[Vectors]
    end_to_end: list[Vectors]
    pixels: list[NDArray[np.float32]]
    resize_mean: list[float]
    resize_max: list[float]
    found: dict[Embedding, list[Vectors]]
    seconds: dict[Embedding, list[float]]


def verify(
    subject: Subject, samples: Sequence[Sample], *, on_image: Callable[[], None] = lambda: None
) -> Report:
    """Compare every graph with torch on every sample, one image in memory at a time.

    Raises `ExportMismatch` naming the first figure beyond its bound.
    """
    report = _report(_measured(subject, samples, on_image=on_image))
    _require(report)
    return report


def resized_pixels(image: Pixels, spec: InputSpec) -> Tensor:
    """Preprocessing as in training: uint8 `[H, W, 3]` → float32 `[1, 3, S, S]` normalised."""
    chw = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0)
    small = transforms.resize(chw, [spec.size_px, spec.size_px], antialias=True)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (spec.mean, spec.std))
    pixels: Tensor = (small.to(torch.float32) / 255 - mean) / std
    return pixels


def _measured(
    subject: Subject, samples: Sequence[Sample], *, on_image: Callable[[], None]
) -> _Rows:
    pre = open_session(subject.pre)
    whole = {v: open_session(m) for v, m in subject.embeddings.items() if v != "net"}
    rows = _Rows([], [], [], [], [], {v: [] for v in whole}, {v: [] for v in whole})
    std = np.array(subject.input.std, np.float32).reshape(1, 3, 1, 1)
    for sample in samples:
        image = sample()
        (pixels,) = pre.run(None, {INPUT_NAME: image})
        wanted = resized_pixels(image, subject.input)
        difference = np.abs(pixels - wanted.numpy()) * std * 255
        rows.resize_mean.append(float(difference.mean()))
        rows.resize_max.append(float(difference.max()))
        rows.pixels.append(pixels)
        rows.same_pixels.append(_torch_row(subject.embedder, torch.from_numpy(pixels)))
        rows.end_to_end.append(_torch_row(subject.embedder, wanted))
        for variant, session in whole.items():
            start = time.perf_counter()
            (row,) = session.run(None, {INPUT_NAME: image})
            rows.seconds[variant].append(time.perf_counter() - start)
            rows.found[variant].append(row)
        on_image()
    if "net" in subject.embeddings:
        _run_net(subject.embeddings["net"], rows)
    return rows


def _torch_row(embedder: Embedder, pixels: Tensor) -> Vectors:
    with torch.inference_mode():
        row: Vectors = embedder(pixels).numpy()
    return row


def _run_net(net: bytes, rows: _Rows) -> None:
    session = open_session(net)
    rows.found["net"], rows.seconds["net"] = [], []
    for first in range(0, len(rows.pixels), BATCH):
        batch = np.concatenate(rows.pixels[first : first + BATCH])
        start = time.perf_counter()
        (found,) = session.run(None, {PIXELS_NAME: batch})
        rows.seconds["net"].append((time.perf_counter() - start) / len(batch))
        rows.found["net"].append(found)


def _report(rows: _Rows) -> Report:
    same, end = np.concatenate(rows.same_pixels), np.concatenate(rows.end_to_end)
    agreements = []
    for variant, parts in rows.found.items():
        found = np.concatenate(parts)
        cosine = _cosine(found, same)
        centre = same.mean(axis=0)
        agreements.append(
            Agreement(
                variant=variant,
                cosine_min=float(cosine.min()),
                cosine_mean=float(cosine.mean()),
                centred_min=float(_cosine(found - centre, same - centre).min()),
                end_to_end_min=float(_cosine(found, end).min()),
                ms=1000 * float(np.median(rows.seconds[variant])),
            )
        )
    return Report(
        images=len(same),
        resize_mean=max(rows.resize_mean),
        resize_max=max(rows.resize_max),
        agreements=tuple(agreements),
    )


def _cosine(a: Vectors, b: Vectors) -> NDArray[np.float64]:
    """Row by row, in float64; not a number stays not a number."""
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a64, axis=1) * np.linalg.norm(b64, axis=1)
    cosine: NDArray[np.float64] = (a64 * b64).sum(axis=1) / np.maximum(norms, 1e-12)
    return cosine


def _require(report: Report) -> None:
    if not (report.resize_mean <= MAX_RESIZE_MEAN and report.resize_max <= MAX_RESIZE):
        raise ExportMismatch(
            f"the graph's resize is off by {report.resize_mean:.3f} grey levels on average and "
            f"{report.resize_max:.0f} at most, expected {MAX_RESIZE_MEAN} and {MAX_RESIZE:.0f}: "
            "use an ONNX Runtime version of constraints.txt; nothing was written"
        )
    for found in report.agreements:
        for where, cosine, floor in (
            ("on the same pixels", found.cosine_min, MIN_COSINE[found.variant]),
            ("end to end", found.end_to_end_min, MIN_COSINE_END_TO_END),
        ):
            if not cosine >= floor:
                raise ExportMismatch(
                    f"variant {found.variant} gives cosine {cosine:.6f} to the trained network "
                    f"{where}, expected at least {floor}: it is not the same network, and nothing "
                    "was written; export with the versions of constraints.txt, or without this "
                    "variant"
                )
