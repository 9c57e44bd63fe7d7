"""Whoever embeds a benchmark's photographs: a bundle in ONNX, or a trained run in torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidConfiguration, SpaceMismatch
from lorgnette.manifest import Role, Space, Variant
from training.evaluation.shots import Shot, read_shot


@dataclass(frozen=True)
class Origin:
    """Who embeds, as it is printed beside every figure.

    trained_on: the data of its provenance.  sha256: of all that decides its rows but the size of
    the images.  preparation: how an image reaches the network, in words.
    """

    name: str
    role: Role
    space: Space
    trained_on: tuple[str, ...]
    sha256: str
    preparation: str

    def described(self) -> dict[str, JsonValue]:
        """The same as JSON."""
        return {
            "name": self.name,
            "role": self.role,
            "space": self.space.id,
            "trained_on": list(self.trained_on),
            "sha256": self.sha256,
            "images": self.preparation,
        }


class ShotEncoder(Protocol):
    """Embeds a benchmark's photographs.  Thread-safe."""

    @property
    def origin(self) -> Origin:
        """Who it is."""

    def encode(self, shot: Shot) -> NDArray[np.float32]:
        """The unit row `[D]`.  Raises `InvalidImage` for a photograph that cannot be read."""


@dataclass(frozen=True)
class Resolution:
    """The published test protocol: keep the aspect, bound the longer side, average over scales.

    longer_px: the longer side in pixels.  scales: factors of it.
    """

    longer_px: int
    scales: tuple[float, ...]


class BundleEncoder:
    """A bundle through the SDK, as on a device and in the service.

    variant: None takes the default download, fp16, on every machine: figures are comparable.
    """

    def __init__(self, bundle: Bundle, *, variant: Variant | None = None) -> None:
        self._encoder = Encoder(bundle, variant=variant or bundle.default_variant())
        self._encoder.check()
        manifest = bundle.manifest
        self.origin = Origin(
            name=f"{manifest.name} {manifest.version}",
            role=manifest.role,
            space=bundle.space,
            trained_on=manifest.provenance.data,
            sha256=manifest.files[self._encoder.variant].sha256,
            preparation=f"squashed to {manifest.input.size_px} px",
        )

    def encode(self, shot: Shot) -> NDArray[np.float32]:
        """See `ShotEncoder`."""
        return self._encoder.encode_pixels(read_shot(shot).pixels)


def open_encoder(
    directory: Path, *, resolution: Resolution | None, variant: Variant | None = None
) -> ShotEncoder:
    """Open a bundle, or the --out of `lorgnette whiten` or `lorgnette train`.

    resolution: for a run only; None: squashed to the size it was made for, as its bundle does.
    variant: for a bundle only; None: its default download.
    Raises `InvalidConfiguration` when a bundle is asked for another size than its graph's, or a
    run for a variant, `InvalidBundle` when the directory holds neither.
    """
    if not (directory / MANIFEST_NAME).exists():
        if variant is not None:
            raise InvalidConfiguration(
                f"{directory} is no bundle, so it has no variant {variant!r}: export it first, or "
                "leave --variant out"
            )
        from training.evaluation.run_encoder import open_run

        return open_run(directory, resolution=resolution)
    if resolution is not None:
        raise InvalidConfiguration(
            f"{directory} is a bundle: its graph resizes by itself, so --image-size and --scales "
            "cannot be kept; leave them out, or give the --out of `lorgnette train`"
        )
    return BundleEncoder(Bundle.open(directory), variant=variant)


def require_a_pair(teacher: Origin, student: Origin) -> None:
    """Raise `InvalidConfiguration` for sides exchanged, `SpaceMismatch` for two spaces."""
    if teacher.role != "gallery":
        raise InvalidConfiguration(
            f"{teacher.name} is a query model (a student), expected the gallery's: give "
            "--gallery the teacher and --query the student"
        )
    if teacher.space != student.space:
        raise SpaceMismatch(
            f"{student.name} speaks {student.space.id}, {teacher.name} speaks "
            f"{teacher.space.id}: choose a student distilled from this teacher",
            expected=(teacher.space.id,),
            found=student.space.id,
        )


def saw_landmarks_of(trained_on: Sequence[str]) -> bool:
    """Whether the training data is Google Landmarks v2, which shows the Oxford and Paris queries.

    36 of ROxford's and 38 of RParis' 70 queries' landmarks are in GLDv2-clean (RGLDv2-clean's
    README); SfM-120k and NC-clean hold none.
    """
    words = " ".join(trained_on).lower().replace("-", "").replace("_", "").replace(" ", "")
    is_disjoint = "rgldv2" in words
    return not is_disjoint and ("gldv2" in words or "googlelandmark" in words)
