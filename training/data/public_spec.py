"""The parts of public data sets that a model may be trained or judged on, by name.  No torch."""

from __future__ import annotations

from typing import Literal

from training.schema import Frozen

PublicPart = Literal[
    "sfm120k",
    "sfm120k-val",
    "sfm120k-whiten",
    "gldv2-clean",
    "cub",
    "cars",
    "sop",
    "inshop",
]


class PublicSource(Frozen):
    """A public data set below `--data`, as `lorgnette data get` puts it there.

    Its training photographs; of SfM-120k also the validation and the whitening lists.
    """

    public: PublicPart
