"""A loss as a configuration names it, with its parameters.  No torch."""

from __future__ import annotations

from typing import Literal

from training.schema import Frozen


class RegressionSpec(Frozen):
    """See `training.losses.pair.Regression`; it has no parameters."""

    name: Literal["regression"]
