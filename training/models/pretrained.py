"""A network as an experiment describes it, with its pretrained weights."""

from __future__ import annotations

from training.models.embedder import Embedder
from training.models.specs import Network
from training.models.weights import load_weights


def pretrained(network: Network) -> tuple[Embedder, str]:
    """Build the embedder in evaluation mode, load its backbone, and say where from.

    What is not the backbone is still random.  Raises `InvalidConfiguration` or `MissingExtra`.
    """
    embedder = Embedder(network).eval()
    origin = load_weights(embedder.backbone, name=network.backbone, source=network.weights)
    return embedder, origin
