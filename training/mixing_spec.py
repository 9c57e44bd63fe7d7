"""Metrix mixing as a configuration says it.  No torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from training.schema import Count, Frozen, NotNegative, Positive

MixWhere = Literal["input", "feature", "embedding"]
MixedPairs = Literal["positive-negative", "anchor-negative", "either"]


class MixSpec(Frozen):
    """Metrix, Venkataramanan et al., ICLR 2022: a mixed column is λ · one + (1 - λ) · another.

    where: what is mixed: images, the output of a layer, or embeddings.  layer: for `feature` its
    module path in the embedder, such as `backbone.layer4`; else null.  pairs: a positive of an
    anchor with a negative of it; the anchor itself with a negative; `either`: one of the two by a
    fair coin for each batch, as the authors' code does.  alpha: λ ~ Beta(alpha, alpha).
    draw: one λ for the batch, or one for each mixed column.  per_anchor: mixed columns drawn for
    each anchor.  weight: the loss is clean + weight · mixed.
    """

    where: MixWhere
    layer: str | None
    pairs: MixedPairs
    alpha: Positive
    draw: Literal["batch", "pair"]
    per_anchor: Count
    weight: NotNegative

    @model_validator(mode="after")
    def _a_layer_for_features_only(self) -> Self:
        if (self.where == "feature") != (self.layer is not None):
            raise ValueError(
                f"layer: where is {self.where!r}, found {self.layer!r}: name a layer for "
                "'feature', and null for 'input' and 'embedding'"
            )
        return self
