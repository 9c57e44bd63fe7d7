"""Which table has which pictures."""

from __future__ import annotations

from typing import Final

from training.pictures.style import Picture
from training.study.claims.levers import CURVE, LEVERS
from training.study.claims.losses import LOSSES
from training.study.claims.teachers import ATTENTION, MIXING
from training.study.found import Findings
from training.study.plots.bars import draw_asking, draw_levers, draw_teachers
from training.study.plots.curve import draw_curve
from training.study.plots.losses import draw_losses

ASKING: Final = "asking"
"""Where the pictures of the ways to ask are found: no table of the study has this name."""


def draw(findings: Findings, *, stem: str) -> dict[str, tuple[Picture, ...]]:
    """By the name of the table, those that there are figures for.  stem: of the files' names."""
    drawn = {
        LOSSES: draw_losses(findings, name=f"{stem}_losses"),
        LEVERS: draw_levers(findings, name=f"{stem}_levers"),
        CURVE: draw_curve(findings, name=f"{stem}_curve"),
        ATTENTION: draw_teachers(findings, ATTENTION, name=f"{stem}_attention"),
        MIXING: draw_teachers(findings, MIXING, name=f"{stem}_mixing"),
        ASKING: draw_asking(findings, name=f"{stem}_asking"),
    }
    return {table: (picture,) for table, picture in drawn.items() if picture is not None}
