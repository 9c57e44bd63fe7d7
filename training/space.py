"""The name of a space: what its teacher computes, whatever file it came from."""

from __future__ import annotations

import hashlib
import json

import torch
from pydantic import JsonValue

from lorgnette.manifest import InputSpec, Space
from training.models.embedder import Embedder
from training.models.specs import Network

_HEX_DIGITS = 12


def embedder_sha256(embedder: Embedder, spec: InputSpec) -> str:
    """sha256 over the weights (whitening included: it is the head) and the preprocessing.

    In a fixed order, every parameter and running statistic by name, shape and little-endian
    float32 bytes, so the file format, the memory layout and the device do not matter; and what
    else decides the rows and cannot be seen in the weights.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(embedder.state_dict().items()):
        if not tensor.is_floating_point():  # counters of batch norm: no part of the function
            continue
        values = tensor.detach().to("cpu", torch.float32).contiguous().numpy().astype("<f4")
        digest.update(json.dumps([name, list(values.shape)]).encode())
        digest.update(values.tobytes(order="C"))
    digest.update(json.dumps(spec.model_dump(mode="json"), sort_keys=True).encode())
    unseen = _unseen(embedder.network)
    if unseen:
        digest.update(json.dumps(unseen, sort_keys=True).encode())
    return digest.hexdigest()


def _unseen(network: Network) -> dict[str, JsonValue]:
    """Settings that change the function and leave no trace in the weights' names and shapes.

    Empty for the plain network, whose spaces were named before there was any other.
    """
    unseen: dict[str, JsonValue] = {}
    if network.attention is not None:
        unseen["attention"] = network.attention.model_dump(mode="json")
    if network.head is not None and not network.head.unit_input:
        unseen["unit_input"] = False
    return unseen


def space_of(teacher: Embedder, *, name: str, spec: InputSpec) -> Space:
    """The space a teacher defines: id = name + "-" + the first 12 digits of its sha256."""
    digest = embedder_sha256(teacher, spec)[:_HEX_DIGITS]
    return Space(id=f"{name}-{digest}", dim=teacher.dim)
