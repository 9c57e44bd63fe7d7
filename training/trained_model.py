"""A trained model on disk: `model.safetensors` and `model.json`, what export and training read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import safetensors.torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError

from lorgnette._faults import first_fault
from lorgnette.errors import BundleCorrupt, InvalidBundle
from lorgnette.manifest import NAME_PATTERN, Provenance, Role, Sha256, Space
from training.files import sha256_of, write_atomically
from training.models.embedder import Embedder
from training.models.specs import Network
from training.schema import Frozen

WEIGHTS_NAME = "model.safetensors"
SPEC_NAME = "model.json"


class ModelSpec(Frozen):
    """What a model is, and where it came from."""

    role: Role
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    network: Network
    space: Space
    provenance: Provenance


class _Saved(Frozen):
    schema_version: Literal[2]
    weights_sha256: Sha256
    spec: ModelSpec


def save_model(directory: Path, embedder: Embedder, spec: ModelSpec) -> None:
    """Write the model into the directory, each file whole or not at all, `model.json` last."""
    tensors = {
        name: tensor.detach().to("cpu").contiguous()
        for name, tensor in embedder.state_dict().items()
    }
    weights = safetensors.torch.save(tensors)
    saved = _Saved(schema_version=2, weights_sha256=sha256_of(weights), spec=spec)
    write_atomically(directory / WEIGHTS_NAME, weights)
    write_atomically(directory / SPEC_NAME, (saved.model_dump_json(indent=2) + "\n").encode())


def load_model(directory: Path) -> tuple[Embedder, ModelSpec]:
    """Read a saved model; the embedder is in evaluation mode.

    Raises `InvalidBundle` when a file is missing or malformed, `BundleCorrupt` when the weights
    are not the ones `model.json` was written with.
    """
    saved = _read_spec(directory / SPEC_NAME)
    try:
        weights = (directory / WEIGHTS_NAME).read_bytes()
    except OSError as error:
        raise InvalidBundle(f"cannot read {directory / WEIGHTS_NAME}: {error.strerror}") from error
    found = sha256_of(weights)
    if found != saved.weights_sha256:
        raise BundleCorrupt(
            f"{directory / WEIGHTS_NAME} has sha256 {found}, {SPEC_NAME} states "
            f"{saved.weights_sha256}: it was changed or half copied; run the training again"
        )
    return _built(saved.spec, weights, directory=directory), saved.spec


def _read_spec(path: Path) -> _Saved:
    try:
        return _Saved.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidBundle(
            f"{path.parent} holds no trained model (no {path.name}: {error.strerror}): "
            "give the --out of `lorgnette whiten` or `lorgnette train`"
        ) from error
    except ValidationError as error:
        raise InvalidBundle(
            f"{path} does not describe a model of this version ({first_fault(error)}): train or "
            "whiten it again"
        ) from error


def _built(spec: ModelSpec, weights: bytes, *, directory: Path) -> Embedder:
    embedder = Embedder(spec.network)
    try:
        embedder.load_state_dict(safetensors.torch.load(weights), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise InvalidBundle(f"{directory / WEIGHTS_NAME} does not fit its spec: {error}") from error
    return embedder.eval()
