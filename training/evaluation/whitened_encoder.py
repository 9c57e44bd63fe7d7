"""Whitening at the test: what AML does, whose networks learn without one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import Space
from lorgnette.vectors import unit_rows
from training.evaluation.encoders import ShotEncoder
from training.evaluation.shots import Shot
from training.files import sha256_of
from training.trained_model import load_model


class WhitenedEncoder:
    """Another encoder's unit rows, whitened: `unit(P x - P m)`.

    weight: P, float32 `[E, D]`.  bias: -P m, `[E]`.  Both sides of a pairing take the same one,
    the teacher's (AML's rule), so what they compare is of one space still.
    """

    def __init__(
        self,
        inner: ShotEncoder,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        name: str,
    ) -> None:
        origin = inner.origin
        if weight.shape[1] != origin.space.dim:
            raise InvalidConfiguration(
                f"the whitening of {name} takes rows of {weight.shape[1]} numbers, {origin.name} "
                f"gives {origin.space.dim}: give --whitening a run whose last layer whitens the "
                "rows of this teacher"
            )
        self._inner, self._weight, self._bias = inner, weight, bias
        digest = origin.sha256.encode() + weight.tobytes() + bias.tobytes()
        self.origin = dataclasses.replace(
            origin,
            space=Space(id=origin.space.id, dim=len(weight)),
            sha256=sha256_of(digest),
            preparation=f"{origin.preparation}, whitened at the test by {name}'s last layer",
        )

    def encode(self, shot: Shot) -> NDArray[np.float32]:
        """See `ShotEncoder`."""
        row = self._weight @ self._inner.encode(shot) + self._bias
        checked: NDArray[np.float32] = unit_rows(row[None], dim=len(self._weight))[0]
        return checked


def whitened_by(directory: Path, encoder: ShotEncoder) -> ShotEncoder:
    """Whiten by the last layer of a run, such as that of aml/teacher_resnet101_lw.yaml.

    Raises `InvalidBundle` when the directory holds no trained model, `InvalidConfiguration` when
    it has no such layer or one for rows of another length.
    """
    whitening, spec = load_model(directory)
    linear = whitening.linear
    if linear.bias is None or not whitening.pools_to_unit_rows:
        raise InvalidConfiguration(
            f"the last layer of {directory} is no whitening: expected one with a bias, of unit rows"
        )
    weight, bias = (tensor.detach().numpy() for tensor in (linear.weight, linear.bias))
    return WhitenedEncoder(encoder, weight, bias, name=spec.name)
