"""How long a training is, how large its images and batches, how its rates move.  No torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.schema import Count, Frozen, Positive, Seed, Share, SizePx


class SizePhase(Frozen):
    """size_px: of the training images.  until: the share of all steps where this phase ends."""

    size_px: SizePx
    until: Share


class Cosine(Frozen):
    """Half a cosine from the full rate down to `final_share` of it at the last step."""

    name: Literal["cosine"]
    final_share: Share


class Exponential(Frozen):
    """The rate is multiplied by `per_epoch` at each epoch's end; 1 keeps it constant."""

    name: Literal["exponential"]
    per_epoch: Positive


class Stairs(Frozen):
    """The rate is multiplied by `factor` every so many epochs."""

    name: Literal["step"]
    every_epochs: Count
    factor: Positive


Decay = Annotated[Cosine | Exponential | Stairs, Field(discriminator="name")]


class Schedule(Frozen):
    """Linear warm-up over a share of the steps, then the decay.

    sizes: of the training images, which may be smaller than the model's input to save time.
    steps, epochs: updates in all, or passes over the data; one is given, the other null.
    accumulate: batches whose gradients are averaged before one update.
    head_only_epochs: the first epochs in which the backbone keeps its weights.
    keep_every_steps: a copy of the model is kept every so many updates, to be scored; null: none.
    """

    sizes: Annotated[tuple[SizePhase, ...], Field(min_length=1)]
    steps: Annotated[int, Field(ge=0)] | None
    epochs: Count | None
    accumulate: Count
    head_only_epochs: Annotated[int, Field(ge=0)]
    warmup_share: Share
    decay: Decay
    seed: Seed
    checkpoint_every_steps: Count
    keep_every_steps: Count | None

    @model_validator(mode="after")
    def _phases_follow_each_other(self) -> Self:
        ends = [phase.until for phase in self.sizes]
        if ends != sorted(set(ends)) or ends[-1] != 1:
            raise ValueError(f"sizes: `until` must grow and end at 1, found {ends}")
        return self

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give steps or epochs, and null for the other")
        return self
