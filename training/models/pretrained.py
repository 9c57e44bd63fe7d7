"""A network as an experiment describes it, with its pretrained weights."""

from __future__ import annotations

from training.models.backbone import load_weights
from training.models.embedder import Embedder
from training.models.specs import Network


def pretrained(network: Network) -> tuple[Embedder, str]:
    """Build the embedder in evaluation mode, load its backbone, and say where from.

    The head is still random.  Raises `InvalidConfiguration` or `MissingExtra`.
    """
    embedder = Embedder(network.backbone, p=network.gem_p, dim=network.dim).eval()
    origin = load_weights(embedder.backbone, name=network.backbone, source=network.weights)
    return embedder, origin
