"""Where photographs come from and how they are cropped, as a configuration says it.  No torch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from training.data.splits import SplitRole
from training.schema import Count, Frozen, Share


class Source(Frozen):
    """A folder of photographs, relative to `--data`.

    splits: a TSV `path<TAB>role` inside the folder, with the role to take; both null: all of it.
    licence: of the photographs, with whom to credit; it travels in the model's manifest.
    """

    folder: str
    splits: str | None
    role: SplitRole | None
    licence: str

    @model_validator(mode="after")
    def _splits_and_role(self) -> Self:
        if (self.splits is None) != (self.role is None):
            raise ValueError("splits and role are given together, or both are null")
        return self


class Colour(Frozen):
    """Each of the three factors is uniform in [1 - x, 1 + x], applied to a share of the crops."""

    share: Share
    brightness: Share
    contrast: Share
    saturation: Share


class Crops(Frozen):
    """Random views of each photograph; view k of photograph i depends on (seed, i, k) alone.

    whole_share: this share of the views is the whole photograph.  area: range of the crop's share
    of the photograph.  aspect: width / height of a crop, in pixels, is in [1 / aspect, aspect].
    joined_share: this share of the views is two crops, of two photographs, side by side.
    """

    seed: Annotated[int, Field(ge=0)]
    per_photograph: Count
    whole_share: Share
    area: tuple[Share, Share]
    aspect: Annotated[float, Field(ge=1)]
    flip_share: Share
    joined_share: Share
    colour: Colour

    @model_validator(mode="after")
    def _area_is_a_range(self) -> Self:
        if not 0 < self.area[0] <= self.area[1]:
            raise ValueError("area: expected 0 < smallest <= largest <= 1")
        return self
