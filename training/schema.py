"""What every part of a configuration is made of: frozen, strict, no unknown keys.  No torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Frozen(BaseModel):
    """A value that cannot change, from exactly the keys it names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
