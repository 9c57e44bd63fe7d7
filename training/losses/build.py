"""From a loss's name and parameters in a configuration to the loss."""

from __future__ import annotations

from collections.abc import Callable

from training.losses.pair import (
    Contrastive,
    ContrastiveDistance,
    ContrastiveNonZero,
    MultiSimilarity,
    PairLoss,
    RamlAbsolute,
    Regression,
    Triplet,
    TripletSquared,
)
from training.losses.proxy import ArcFace, ProxyAnchor, ProxyNca
from training.losses.ranking import D3, DarkRank, Rop
from training.losses.relational import (
    Csd,
    RamlRelational,
    RelationalLoss,
    RkdAngle,
    RkdDistance,
    Ssp,
)
from training.losses.specs import PairLossSpec, RelationalLossSpec

PAIR_LOSSES: dict[str, Callable[..., PairLoss]] = {
    "contrastive": Contrastive,
    "contrastive-distance": ContrastiveDistance,
    "contrastive-nonzero": ContrastiveNonZero,
    "triplet": Triplet,
    "triplet-squared": TripletSquared,
    "multi-similarity": MultiSimilarity,
    "regression": Regression,
    "raml-absolute": RamlAbsolute,
    "arcface": ArcFace,
    "proxy-anchor": ProxyAnchor,
    "proxy-nca++": ProxyNca,
}

RELATIONAL_LOSSES: dict[str, Callable[..., RelationalLoss]] = {
    "rkd-distance": RkdDistance,
    "rkd-angle": RkdAngle,
    "darkrank": DarkRank,
    "csd": Csd,
    "raml-relational": RamlRelational,
    "ssp": Ssp,
    "rop": Rop,
    "d3still": D3,
}


def build_pair_loss(spec: PairLossSpec) -> PairLoss:
    """The loss a spec names, with its parameters."""
    return PAIR_LOSSES[spec.name](**spec.model_dump(exclude={"name"}))


def build_relational_loss(spec: RelationalLossSpec) -> RelationalLoss:
    """The loss a spec names, with its parameters."""
    return RELATIONAL_LOSSES[spec.name](**spec.model_dump(exclude={"name"}))
