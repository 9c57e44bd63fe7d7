"""Which optimiser, at which rates, on which weights.  No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from training.schema import Frozen, NotNegative, Positive, Share

Norms = Literal["frozen", "frozen-statistics", "trained"]
"""The backbone's batch norms: statistics and scales kept, only statistics kept, all trained."""


class ClipValue(Frozen):
    """Each number of the gradient is clamped to [-limit, limit]."""

    name: Literal["value"]
    limit: Positive


class ClipNorm(Frozen):
    """The whole gradient is shortened to the length `limit` when it is longer."""

    name: Literal["norm"]
    limit: Positive


Clip = Annotated[ClipValue | ClipNorm, Field(discriminator="name")]


Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamW(Frozen):
    """Loshchilov and Hutter, ICLR 2019: decay apart from the gradient."""

    name: Literal["adamw"]
    betas: tuple[Beta, Beta]


class Adam(Frozen):
    """Kingma and Ba, ICLR 2015: decay is part of the gradient."""

    name: Literal["adam"]
    betas: tuple[Beta, Beta]


class Sgd(Frozen):
    """Stochastic gradient descent; nesterov as in Sutskever et al., ICML 2013."""

    name: Literal["sgd"]
    momentum: Share
    nesterov: bool


Rule = Annotated[AdamW | Adam | Sgd, Field(discriminator="name")]


class Optimiser(Frozen):
    """How the weights move: the rule, and the learning rates by what the weights are.

    frozen: names of the backbone's modules that keep their weights, such as `blocks.0`.
    head_lr: of all new layers behind the backbone, the linear one included.
    gem_lr: of GeM's power.  proxies_lr: of the objective's class proxies; null where it has none.
    weight_decay: of matrices; vectors (biases, scales, GeM's power) do not decay.
    """

    rule: Rule
    frozen: tuple[str, ...]
    norms: Norms
    backbone_lr: NotNegative
    head_lr: NotNegative
    gem_lr: NotNegative
    proxies_lr: NotNegative | None
    weight_decay: NotNegative
    clip: Clip | None
