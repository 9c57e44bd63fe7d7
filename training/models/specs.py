"""A network as a configuration describes it.  No torch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from lorgnette.manifest import InputSpec
from training.schema import Count, Frozen, Positive


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"expected an odd number, so that a channel has a middle, found {kernel}")
    return kernel


class Glam(Frozen):
    """Global-local attention, each of its four parts on its own switch.  See `models/glam.py`.

    kernel: of the 1-d convolutions over channels, odd.  reduction: the spatial parts work on
    c' = c / reduction channels.  dilations: of the local spatial part's 3 × 3 convolutions.
    """

    local_channel: bool
    local_spatial: bool
    global_channel: bool
    global_spatial: bool
    kernel: Annotated[Count, AfterValidator(_odd)]
    reduction: Count
    dilations: Annotated[tuple[Count, ...], Field(min_length=1)]


class Head(Frozen):
    """What follows pooling: linear → dropout → batch norm.

    unit_input: the pooled row is brought to unit length first; closed forms (whitening, ridge)
    are better conditioned on unit rows.  bias: of the linear layer.  dropout: share of numbers
    dropped while training.  batch_norm: whether the rows are normalised by batch statistics.
    """

    unit_input: bool
    bias: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]
    batch_norm: bool


class Network(Frozen):
    """backbone → adaptation → attention → GeM → head → unit row.

    backbone: timm's name.  weights: see `models/weights.py`.  licence: of those weights.
    adapt_dim: channels after a 1 × 1 convolution and ReLU before pooling; null for neither.
    attention: on the feature map, or null.  gem_p: the initial power of GeM.
    head: or null, the pooled row itself is the embedding.  dim: of the embedding.
    """

    backbone: str
    weights: str
    licence: str
    adapt_dim: Count | None
    attention: Glam | None
    gem_p: Positive
    head: Head | None
    dim: Count
    input: InputSpec

    @model_validator(mode="after")
    def _input_can_be_scaled(self) -> Self:
        if min(self.input.std) <= 0:
            raise ValueError(f"input.std: expected numbers above 0, found {self.input.std}")
        return self

    @model_validator(mode="after")
    def _pooled_row_is_the_embedding(self) -> Self:
        if self.head is None and self.adapt_dim not in (None, self.dim):
            raise ValueError(
                f"without a head the embedding has the {self.adapt_dim} numbers of adapt_dim, "
                f"found dim {self.dim}: make them equal, or give a head"
            )
        return self
