"""What is learned, as a configuration says it: weighted terms, each a row of the table of methods.

The table is in docs/design.md; `training.objective` builds the terms.  No torch.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.losses.specs import PairLossSpec, RelationalLossSpec
from training.mixing_spec import MixSpec
from training.schema import Count, Frozen, NotNegative, Positive

SelfPair = Literal["ignore", "positive", "only"]
"""The pair of a view with its own row: not used, a positive, or the only pair used."""

WITHOUT_NEGATIVES = ("regression", "raml-absolute")
"""The losses that learn from positives alone."""


class MultiSimilarityMiningSpec(Frozen):
    """See `training.mining.MultiSimilarityMining`."""

    name: Literal["multi-similarity"]
    epsilon_cosine: NotNegative


class HardestNegativesSpec(Frozen):
    """See `training.mining.HardestNegatives`."""

    name: Literal["hardest-negatives"]
    per_anchor: Count


class SemiHardNegativesSpec(Frozen):
    """See `training.mining.SemiHardNegatives`."""

    name: Literal["semi-hard-negatives"]
    margin_cosine: Positive


MiningSpec = Annotated[
    MultiSimilarityMiningSpec | HardestNegativesSpec | SemiHardNegativesSpec,
    Field(discriminator="name"),
]


class PairTermSpec(Frozen):
    """A pair loss on the student's anchors and the columns.

    others: who embeds the columns: the student itself, the teacher (cached), or learnable class
    proxies.  self_pair: the pair of a view with its own row among the columns.  mining: which
    pairs of the batch are used; null: all.  mixing: Metrix on top; null: none.
    """

    kind: Literal["pair"]
    weight: Positive
    others: Literal["student", "teacher", "proxies"]
    self_pair: SelfPair
    mining: MiningSpec | None
    mixing: MixSpec | None
    loss: PairLossSpec

    @model_validator(mode="after")
    def _own_rows_are_the_teachers(self) -> Self:
        if self.others != "teacher" and self.self_pair != "ignore":
            why = "a view's own row is itself" if self.others == "student" else "a proxy is no view"
            raise ValueError(
                f"self_pair: {self.self_pair!r} with {self.others} columns, where {why}: "
                "'ignore' it, or compare with the teacher"
            )
        return self

    @model_validator(mode="after")
    def _there_are_negatives(self) -> Self:
        if self.self_pair == "only" and self.loss.name not in WITHOUT_NEGATIVES:
            raise ValueError(
                f"loss: {self.loss.name} needs negatives, and self_pair 'only' leaves none: "
                f"'positive' keeps them, or one of {', '.join(WITHOUT_NEGATIVES)} needs none"
            )
        return self

    @model_validator(mode="after")
    def _what_is_mixed_can_be(self) -> Self:
        if self.mixing is None:
            return self
        if not self.loss.takes_soft_labels:
            raise ValueError(
                f"mixing makes soft labels, and {self.loss.name} takes 0 or 1 only: set mixing to "
                "null, or choose a loss that takes them"
            )
        if self.others == "teacher" and self.mixing.where != "embedding":
            raise ValueError(
                f"mixing.where: {self.mixing.where!r} of the teacher's columns, which are cached "
                "rows without images: 'embedding' mixes rows"
            )
        if self.others == "proxies" and self.mixing.pairs != "positive-negative":
            raise ValueError(
                f"mixing.pairs: {self.mixing.pairs!r} with proxies, which are the anchors there "
                "and no image to mix: 'positive-negative'"
            )
        return self


class CodebooksSpec(Frozen):
    """Product-quantisation centroids of the teacher's rows, see `training.others.Codebooks`.

    subspaces: M, which divides the dimensions.  centroids: K in each subspace.
    """

    name: Literal["codebooks"]
    subspaces: Count
    centroids: Annotated[int, Field(ge=2)]


class StudentColumnsSpec(Frozen):
    """Both networks compare their anchors with their own rows of the same views."""

    name: Literal["student"]


class TeacherColumnsSpec(Frozen):
    """Both networks compare their anchors with the teacher's rows."""

    name: Literal["teacher"]


RelationalColumnsSpec = Annotated[
    StudentColumnsSpec | TeacherColumnsSpec | CodebooksSpec, Field(discriminator="name")
]


class RelationalTermSpec(Frozen):
    """A relational loss: the student's similarities are to follow the teacher's.

    among: all views of the batch, or the views of each label apart (RAML's are the augmentations
    of one image: there a photograph is its own label).
    """

    kind: Literal["relational"]
    weight: Positive
    others: RelationalColumnsSpec
    among: Literal["batch", "label"]
    loss: RelationalLossSpec

    @model_validator(mode="after")
    def _the_loss_compares_these_columns(self) -> Self:
        if self.others.name not in self.loss.columns:
            raise ValueError(
                f"others: {self.loss.name} compares with {' or '.join(sorted(self.loss.columns))}"
                f" columns, found {self.others.name!r}"
            )
        return self

    @model_validator(mode="after")
    def _codebooks_have_no_label(self) -> Self:
        if self.others.name == "codebooks" and self.among != "batch":
            raise ValueError(
                f"among: {self.among!r} with codebooks, whose centroids have no label: 'batch'"
            )
        return self


class ObjectiveSpec(Frozen):
    """The loss is the sum of the terms, each times its weight."""

    terms: Annotated[
        tuple[Annotated[PairTermSpec | RelationalTermSpec, Field(discriminator="kind")], ...],
        Field(min_length=1),
    ]
