"""A loss as a configuration names it, every parameter explicit.  No torch.

A spec has the parameters of the class it names; formulas, units and sources are there.  Two facts
a configuration is checked against stand on the specs as well: whether a pair loss takes soft labels
(mixing makes soft ones), and which columns a relational loss can compare.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from training.schema import Count, Frozen, NotNegative, Positive

Cosine = Annotated[float, Field(ge=-1, le=1)]
Distance = Annotated[float, Field(gt=0, le=2)]
"""Between unit rows."""
Radians = Annotated[float, Field(ge=0, lt=3.1415926)]
CosineGap = Annotated[float, Field(ge=0, le=2)]
SquaredDistanceGap = Annotated[float, Field(ge=0, le=4)]

RelationalColumns = Literal["student", "teacher", "codebooks"]


class ContrastiveSpec(Frozen):
    """See `training.losses.pair.Contrastive`."""

    takes_soft_labels: ClassVar[bool] = True
    name: Literal["contrastive"]
    margin_cosine: Cosine


class ContrastiveDistanceSpec(Frozen):
    """See `training.losses.pair.ContrastiveDistance`."""

    takes_soft_labels: ClassVar[bool] = True
    name: Literal["contrastive-distance"]
    margin_distance: Distance


class ContrastiveNonZeroSpec(Frozen):
    """See `training.losses.pair.ContrastiveNonZero`."""

    takes_soft_labels: ClassVar[bool] = True
    name: Literal["contrastive-nonzero"]
    margin_distance: Distance


class TripletSpec(Frozen):
    """See `training.losses.pair.Triplet`."""

    takes_soft_labels: ClassVar[bool] = False
    name: Literal["triplet"]
    margin_cosine: CosineGap


class TripletSquaredSpec(Frozen):
    """See `training.losses.pair.TripletSquared`."""

    takes_soft_labels: ClassVar[bool] = False
    name: Literal["triplet-squared"]
    margin_squared_distance: SquaredDistanceGap


class MultiSimilaritySpec(Frozen):
    """See `training.losses.pair.MultiSimilarity`."""

    takes_soft_labels: ClassVar[bool] = True
    name: Literal["multi-similarity"]
    alpha: Positive
    beta: Positive
    base: Cosine


class RegressionSpec(Frozen):
    """See `training.losses.pair.Regression`; it has no parameters."""

    takes_soft_labels: ClassVar[bool] = True
    name: Literal["regression"]


class RamlAbsoluteSpec(Frozen):
    """See `training.losses.pair.RamlAbsolute`; it has no parameters."""

    takes_soft_labels: ClassVar[bool] = True
    name: Literal["raml-absolute"]


class ArcFaceSpec(Frozen):
    """See `training.losses.proxy.ArcFace`."""

    takes_soft_labels: ClassVar[bool] = False
    name: Literal["arcface"]
    scale: Positive
    margin_radians: Radians


class ProxyAnchorSpec(Frozen):
    """See `training.losses.proxy.ProxyAnchor`."""

    takes_soft_labels: ClassVar[bool] = True
    name: Literal["proxy-anchor"]
    alpha: Positive
    margin_cosine: CosineGap


class ProxyNcaSpec(Frozen):
    """See `training.losses.proxy.ProxyNca`."""

    takes_soft_labels: ClassVar[bool] = True
    name: Literal["proxy-nca++"]
    temperature: Positive


PairLossSpec = Annotated[
    ContrastiveSpec
    | ContrastiveDistanceSpec
    | ContrastiveNonZeroSpec
    | TripletSpec
    | TripletSquaredSpec
    | MultiSimilaritySpec
    | RegressionSpec
    | RamlAbsoluteSpec
    | ArcFaceSpec
    | ProxyAnchorSpec
    | ProxyNcaSpec,
    Field(discriminator="name"),
]


class RkdDistanceSpec(Frozen):
    """See `training.losses.relational.RkdDistance`; it has no parameters."""

    columns: ClassVar[frozenset[RelationalColumns]] = frozenset({"student", "teacher"})
    name: Literal["rkd-distance"]


class RkdAngleSpec(Frozen):
    """See `training.losses.relational.RkdAngle`; it has no parameters."""

    columns: ClassVar[frozenset[RelationalColumns]] = frozenset({"student"})
    name: Literal["rkd-angle"]


class DarkRankSpec(Frozen):
    """See `training.losses.ranking.DarkRank`."""

    columns: ClassVar[frozenset[RelationalColumns]] = frozenset({"student", "teacher"})
    name: Literal["darkrank"]
    alpha: Positive
    beta: Annotated[float, Field(ge=1)]
    nearest: Count


class CsdSpec(Frozen):
    """See `training.losses.relational.Csd`."""

    columns: ClassVar[frozenset[RelationalColumns]] = frozenset({"student", "teacher"})
    name: Literal["csd"]
    nearest: Count
    temperature_student: Positive
    temperature_teacher: Positive


class RamlRelationalSpec(Frozen):
    """See `training.losses.relational.RamlRelational`; it has no parameters."""

    columns: ClassVar[frozenset[RelationalColumns]] = frozenset({"student", "teacher"})
    name: Literal["raml-relational"]


class SspSpec(Frozen):
    """See `training.losses.relational.Ssp`."""

    columns: ClassVar[frozenset[RelationalColumns]] = frozenset({"codebooks"})
    name: Literal["ssp"]
    temperature: Positive


class RopSpec(Frozen):
    """See `training.losses.ranking.Rop`."""

    columns: ClassVar[frozenset[RelationalColumns]] = frozenset({"student", "teacher"})
    name: Literal["rop"]
    nearest: Count
    temperature: Positive
    weight_scale: NotNegative


class D3Spec(Frozen):
    """See `training.losses.ranking.D3`."""

    columns: ClassVar[frozenset[RelationalColumns]] = frozenset({"student", "teacher"})
    name: Literal["d3still"]
    nearest: Annotated[int, Field(ge=2)]
    first_order_weight: NotNegative
    hard_weight: NotNegative
    simple_weight: NotNegative


RelationalLossSpec = Annotated[
    RkdDistanceSpec
    | RkdAngleSpec
    | DarkRankSpec
    | CsdSpec
    | RamlRelationalSpec
    | SspSpec
    | RopSpec
    | D3Spec,
    Field(discriminator="name"),
]
