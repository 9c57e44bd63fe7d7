"""A teacher at work: a trained model in torch, or its exported bundle in ONNX."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import Role, Space
from lorgnette.vectors import Vectors
from training.data.augment import normalise
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.space import embedder_sha256
from training.trained_model import ModelSpec, load_model


class TeacherEncoder(Protocol):
    """Whatever embeds images into a teacher's space."""

    @property
    def space(self) -> Space:
        """The space its rows are of."""

    @property
    def sha256(self) -> str:
        """sha256 of all that decides its rows."""

    @property
    def size_px(self) -> int:
        """Side of the images it takes."""

    def embed(self, images: Tensor) -> Vectors:
        """images: uint8 `[N, 3, S, S]`.  Returns unit rows `[N, D]`."""


class TorchTeacher:
    """A teacher in torch, on whatever device the embedder is."""

    def __init__(self, embedder: Embedder, spec: ModelSpec) -> None:
        self._network = with_frozen_norms(embedder).to(memory_format=torch.channels_last)
        self._device = next(embedder.parameters()).device
        self._input = spec.network.input
        self.space = spec.space
        self.size_px = spec.network.input.size_px
        self.sha256 = embedder_sha256(embedder, spec.network.input)

    def embed(self, images: Tensor) -> Vectors:
        """See `TeacherEncoder`."""
        with torch.inference_mode():
            prepared = normalise(images.to(self._device), self._input)
            rows: Vectors = self._network(prepared).cpu().numpy()
        return rows


@dataclass(frozen=True)
class OnnxTeacher:
    """A teacher in ONNX: about 1.6 times as fast on a CPU, and the very graph that is served."""

    encoder: Encoder
    threads: int

    @property
    def space(self) -> Space:
        """See `TeacherEncoder`."""
        return self.encoder.space

    @property
    def sha256(self) -> str:
        """See `TeacherEncoder`."""
        return self.encoder.bundle.manifest.files[self.encoder.variant].sha256

    @property
    def size_px(self) -> int:
        """See `TeacherEncoder`."""
        return self.encoder.bundle.manifest.input.size_px

    def embed(self, images: Tensor) -> Vectors:
        """See `TeacherEncoder`."""
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        with ThreadPoolExecutor(self.threads) as pool:
            return np.stack(list(pool.map(self.encoder.encode_pixels, pixels)))


def open_teacher(
    directory: Path, *, dim: int, threads: int, device: torch.device
) -> TeacherEncoder:
    """Open a teacher: the --out of `whiten` or of a gallery model's `train`, or its bundle.

    threads: of a bundle.  device: of a model in torch.
    Raises `InvalidConfiguration` when it is no teacher of `dim` dimensions, `InvalidBundle` when
    it cannot be read or is damaged.
    """
    if (directory / MANIFEST_NAME).exists():
        bundle = Bundle.open(directory)
        _require_teacher(directory, bundle.manifest.role, bundle.space, dim=dim)
        return OnnxTeacher(Encoder(bundle, variant=bundle.default_variant()), threads)
    embedder, spec = load_model(directory)
    _require_teacher(directory, spec.role, spec.space, dim=dim)
    return TorchTeacher(embedder.to(device), spec)


def _require_teacher(directory: Path, role: Role, space: Space, *, dim: int) -> None:
    if role != "gallery" or space.dim != dim:
        raise InvalidConfiguration(
            f"{directory} is a {role} model of {space.dim} dimensions, expected a gallery model of "
            f"{dim} (model.dim): give --teacher the --out of `lorgnette whiten`, or its bundle"
        )
