"""A network as a configuration describes it.  No torch."""

from __future__ import annotations

from lorgnette.manifest import InputSpec
from training.schema import Count, Frozen, Positive


class Network(Frozen):
    """backbone: timm's name.  weights: pypi, timm, file:<path> or none.  dim: of the embedding.

    gem_p: the initial power of GeM.  licence: of the pretrained weights.
    """

    backbone: str
    weights: str
    licence: str
    gem_p: Positive
    dim: Count
    input: InputSpec
