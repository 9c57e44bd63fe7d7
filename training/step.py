"""One training step.  Read this file first: everything else prepares one of its arguments.

    batch → anchors (student) → columns (others) → pairs → mining → S → loss → backward
                                   └─ mixing: S of mixed examples → the same loss, with a weight

Asymmetry is data.  An objective is a list of weighted terms, each a row of the table of methods in
docs/design.md: who embeds the columns, which pairs count, what is mixed, which loss.
`training.objective` builds them; the other kind, student against teacher, is in
`training.relations`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from training.data.loader import Batch
from training.distributed import gathered
from training.embedded import Embedded, Term
from training.losses.pair import PairLoss
from training.mining import Mining
from training.mixed_pairs import Mixing
from training.objective_spec import SelfPair
from training.others import Others, similarities
from training.pairs import Pairs, pair_up


def step(
    batch: Batch,
    *,
    student: nn.Module,
    terms: Sequence[Term],
    random: np.random.Generator,
    scaled: Callable[[Tensor], Tensor],
) -> Tensor:
    """Add the batch's gradient to the student (and to any proxies); return the loss, a scalar.

    batch: on the student's device; of several processes, with this one's share of the images.
    random: draws what is mixed, alike in all processes.  scaled: what is done to the loss before
    its gradient is taken, such as scaling for float16.  Raises `InvalidConfiguration` for a batch
    that a term cannot learn from.
    """
    rows = gathered(student(batch.images).float(), count=len(batch.who.ids))
    seen = Embedded(batch, rows, student, random)
    # S and the losses in float32 also under AMP: e^(40 s) overflows float16 from s = 0.28 on.
    with torch.autocast(rows.device.type, enabled=False):
        loss = torch.stack([term.weight * term(seen) for term in terms]).sum()
    torch.autograd.backward(scaled(loss))
    return loss.detach()


@dataclass(frozen=True)
class PairTerm:
    """A pair loss on the student's anchors and the columns that `others` embeds.

    learnable: the same pairs, or an error when the loss can learn nothing from them.
    """

    weight: float
    others: Others
    self_pair: SelfPair
    learnable: Callable[[Pairs], Pairs]
    mining: Mining
    mixing: Mixing | None
    loss: PairLoss

    def __call__(self, seen: Embedded) -> Tensor:
        """Returns a scalar: the loss of the pairs, and with a weight that of the mixed ones."""
        columns = self.others(seen)
        pairs = pair_up(seen.who, columns.who, self_pair=self.self_pair).within(columns.used)
        s = similarities(seen.anchors, columns.x)
        pairs = self.mining(s.detach(), self.learnable(pairs))
        loss = self.loss(s, pairs)
        if self.mixing is None:
            return loss
        return loss + self.mixing.weight * self.loss(*self.mixing(seen, columns, pairs))
