"""What every part of a configuration is made of: frozen, strict, no unknown keys.  No torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST_PIXELS = 4096
"""Of an image's side: the most that a bundle's input may have."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
SizePx = Annotated[int, Field(ge=16, le=MOST_PIXELS)]


class Frozen(BaseModel):
    """A value that cannot change, from exactly the keys it names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
