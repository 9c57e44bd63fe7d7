"""One training step.  Read this file first: everything else prepares one of its arguments.

    batch → anchors (student) → columns (others) → pairs → S → loss → backward

Asymmetry is data: what makes a training symmetric, asymmetric or by proxies is who embeds the
columns (`training.others`), which pairs count (`training.pairs`) and the loss
(`training.losses`).  The table of methods is in docs/design.md.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.config import SelfPair
from training.data.loader import Batch
from training.losses.pair import PairLoss
from training.others import Others
from training.pairs import pair_up


def step(
    batch: Batch, *, student: nn.Module, others: Others, loss: PairLoss, self_pair: SelfPair
) -> Tensor:
    """Add the batch's gradient to the student (and to any proxies) and return the loss."""
    anchors = student(batch.images)
    columns = others(batch, anchors)
    pairs = pair_up(batch.who, columns.who, self_pair=self_pair)
    # float32 also under AMP: e^(40 s) overflows float16 from s = 0.28 on.
    s = anchors.float() @ columns.x.float().T
    value = loss(s, pairs)
    torch.autograd.backward(value)
    return value.detach()
