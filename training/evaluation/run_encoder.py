"""A trained run as an encoder, in torch: the only part of evaluation that needs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorgnette.vectors import unit_rows
from training.data.augment import joint_size, normalise, squash
from training.evaluation.encoders import Origin, Resolution, ShotEncoder
from training.evaluation.shots import Pixels, Shot, read_shot
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.models.multi_scale import average_of_scales, power_mean_of_scales
from training.space import embedder_sha256
from training.trained_model import ModelSpec, load_model


class SquashedRun:
    """A run at the size it was made for, images squashed to a square, as its bundle does."""

    def __init__(self, embedder: Embedder, spec: ModelSpec) -> None:
        self._network = with_frozen_norms(embedder)
        self._input = spec.network.input
        self.origin = _origin(
            embedder, spec, preparation=f"squashed to {spec.network.input.size_px} px"
        )

    def encode(self, shot: Shot) -> NDArray[np.float32]:
        """See `ShotEncoder`."""
        side = self._input.size_px
        image = squash(read_shot(shot).pixels, height=side, width=side)
        with torch.inference_mode():
            row = self._network(normalise(image[None], self._input))
        return _unit(row)


class MultiScaleRun:
    """A run by the published test protocol: aspect kept, several scales, one row.

    Pooled unit rows are combined by a power mean with the network's own GeM power, and its head
    (a whitening) comes after (cirtorch, AML); a head that takes rows as they are pooled has its
    embeddings averaged instead (GLAM).  The preparation says which.
    """

    def __init__(self, embedder: Embedder, spec: ModelSpec, resolution: Resolution) -> None:
        network = with_frozen_norms(embedder)
        scales = resolution.scales
        if embedder.pools_to_unit_rows:
            power = embedder.pool.p.item()
            self._rows = power_mean_of_scales(network, scales=scales, exponent=power)
            rule = "power mean of pooled rows"
        else:
            self._rows = average_of_scales(network, scales=scales)
            rule = "mean of embeddings"
        self._input = spec.network.input
        self._longer_px = resolution.longer_px
        listed = ", ".join(f"{factor:g}" for factor in scales)
        self.origin = _origin(
            embedder,
            spec,
            preparation=f"longer side {resolution.longer_px} px, aspect kept, scales {listed}, "
            f"{rule}",
        )

    def encode(self, shot: Shot) -> NDArray[np.float32]:
        """See `ShotEncoder`."""
        image = keep_aspect(read_shot(shot), longer_px=self._longer_px)
        with torch.inference_mode():
            row = self._rows(normalise(image[None], self._input))
        return _unit(row)


def keep_aspect(shot: Pixels, *, longer_px: int) -> Tensor:
    """Resize so that the whole photograph's longer side would be `longer_px`; never enlarge.

    shot: a whole photograph or a crop of one: a crop's longer side becomes
    longer_px · max(crop) / max(whole), so that things keep the size they have in the gallery
    (cirtorch's rule for queries).  Returns uint8 `[3, h, w]`.
    """
    height, width = shot.pixels.shape[:2]
    longer = min(max(height, width), max(1, round(longer_px * shot.share)))
    height, width = joint_size(width / height, size_px=longer)
    return squash(shot.pixels, height=height, width=width)


def open_run(directory: Path, *, resolution: Resolution | None) -> ShotEncoder:
    """Open the --out of `lorgnette whiten` or `lorgnette train`.

    Raises `InvalidBundle` when it holds no trained model, `BundleCorrupt` for damaged weights.
    """
    embedder, spec = load_model(directory)
    if resolution is None:
        return SquashedRun(embedder, spec)
    return MultiScaleRun(embedder, spec, resolution)


def _origin(embedder: Embedder, spec: ModelSpec, *, preparation: str) -> Origin:
    return Origin(
        name=spec.name,
        role=spec.role,
        space=spec.space,
        trained_on=spec.provenance.data,
        sha256=embedder_sha256(embedder, spec.network.input),
        preparation=preparation,
    )


def _unit(row: Tensor) -> NDArray[np.float32]:
    checked: NDArray[np.float32] = unit_rows(row.numpy(), dim=row.shape[1])[0]
    return checked
