"""One training step.  Read this file first: everything else prepares one of its arguments.

    batch → anchors (student) → columns (others) → pairs → mining → S → loss → backward
                                   └─ mixing: S of mixed columns → the same loss, with a weight

Asymmetry is data: what makes a training symmetric, asymmetric or by proxies is who embeds the
columns (`training.others`), which pairs count (`training.pairs`, `training.mining`), what is mixed
(`training.mixed_pairs`) and the loss (`training.losses`).  An objective is a list of weighted
terms, each a row of the table of methods in docs/design.md; `training.objective` builds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from training.data.loader import Batch
from training.distributed import gathered
from training.embedded import Embedded
from training.losses.pair import PairLoss
from training.losses.relational import RelationalLoss
from training.mining import Mining
from training.mixed_pairs import Mixing
from training.objective_spec import SelfPair
from training.others import Others, Teacher, similarities
from training.pairs import Pairs, pair_up, same_view
from training.relations import Among


def step(
    batch: Batch,
    *,
    student: nn.Module,
    terms: Sequence[Term],
    random: np.random.Generator,
    scaled: Callable[[Tensor], Tensor],
) -> Tensor:
    """Add the batch's gradient to the student (and to any proxies) and return the loss.

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


class Term(Protocol):
    """A part of the objective."""

    @property
    def weight(self) -> float:  # noqa: D102  the class says it
        ...

    def __call__(self, seen: Embedded) -> Tensor:  # noqa: D102  the class says it
        ...


@dataclass(frozen=True)
class PairTerm:
    """A pair loss on the student's anchors and the columns that `others` embeds.

    learnable: raises when the loss can learn nothing from the pairs.
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


@dataclass(frozen=True)
class RelationalTerm:
    """A relational loss: the student's similarities against the teacher's of the same pairs.

    others: what the student's anchors are compared with.  taught: what the teacher's are.
    among: whose pairs are compared with each other.
    """

    weight: float
    others: Others
    taught: Others
    teacher: Teacher
    among: Among
    loss: RelationalLoss

    def __call__(self, seen: Embedded) -> Tensor:
        """Returns a scalar, the mean over groups.  The sampler's mask does not enter."""
        columns = self.others(seen)
        s = similarities(seen.anchors, columns.x)
        t = similarities(self.teacher.rows(seen.who, like=seen.rows), self.taught(seen).x)
        own = same_view(seen.who, columns.who)
        groups = self.among(seen.who, columns.who)
        losses = [self.loss(s[a][..., x], t[a][..., x], own[a][:, x]) for a, x in groups]
        return torch.stack(losses).mean()
