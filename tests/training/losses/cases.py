"""Every loss with its oracle, and random problems to give them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tests.training.losses import reference, reference_relational
from tests.training.losses.reference import PairOracle
from tests.training.losses.reference_relational import RelationalOracle
from training.losses.pair import (
    Contrastive,
    ContrastiveDistance,
    ContrastiveNonZero,
    MultiSimilarity,
    PairLoss,
    RamlAbsolute,
    Regression,
    Triplet,
    TripletSquared,
)
from training.losses.proxy import ArcFace, ProxyAnchor, ProxyNca
from training.losses.ranking import D3, DarkRank, Rop
from training.losses.relational import (
    Csd,
    RamlRelational,
    RelationalLoss,
    RkdAngle,
    RkdDistance,
    Ssp,
)
from training.pairs import Pairs

RTOL = {torch.float64: 1e-12, torch.float32: 2e-4}
"""Of a loss against its slow loop in float64."""


@dataclass(frozen=True)
class PairCase:
    loss: PairLoss
    oracle: PairOracle

    def __str__(self) -> str:
        return type(self.loss).__name__


PAIR_CASES = [
    PairCase(Contrastive(margin_cosine=0.3), reference.contrastive(0.3)),
    PairCase(ContrastiveDistance(margin_distance=1.3), reference.contrastive_distance(1.3)),
    PairCase(ContrastiveNonZero(margin_distance=1.3), reference.contrastive_nonzero(1.3)),
    PairCase(Triplet(margin_cosine=0.1), reference.triplet(0.1)),
    PairCase(TripletSquared(margin_squared_distance=0.7), reference.triplet_squared(0.7)),
    PairCase(
        MultiSimilarity(alpha=17.97, beta=75.66, base=0.77),
        reference.multi_similarity(17.97, 75.66, 0.77),
    ),
    PairCase(Regression(), reference.regression),
    PairCase(RamlAbsolute(), reference.raml_absolute),
    PairCase(ArcFace(scale=30, margin_radians=0.3), reference.arcface(30, 0.3)),
    PairCase(ProxyAnchor(alpha=32, margin_cosine=0.1), reference.proxy_anchor(32, 0.1)),
    PairCase(ProxyNca(temperature=1 / 9), reference.proxy_nca(1 / 9)),
]
SOFT_CASES = [case for case in PAIR_CASES if case.loss.takes_soft_labels]
HARD_ONLY_CASES = [case for case in PAIR_CASES if not case.loss.takes_soft_labels]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cosines(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=generator(seed), dtype=torch.float64) * 2 - 1


def hard_pairs(anchors: int, others: int, *, seed: int) -> Pairs:
    """About a third positives; about a third of all not used; the last anchor uses none."""
    draw = generator(seed + 1)
    y = (torch.rand(anchors, others, generator=draw) < 0.35).double()
    mask = torch.rand(anchors, others, generator=draw) < 0.7
    mask[-1] = False
    return Pairs(y=y, mask=mask)


def soft_pairs(anchors: int, others: int, *, seed: int) -> Pairs:
    """Some labels 0, some 1, most between."""
    draw = generator(seed + 2)
    y = torch.rand(anchors, others, generator=draw, dtype=torch.float64) * 1.4 - 0.2
    return Pairs(y=y.clamp(0, 1), mask=hard_pairs(anchors, others, seed=seed).mask)


def slow(case: PairCase, s: Tensor, pairs: Pairs) -> float:
    return case.oracle(s.tolist(), pairs.y.tolist(), pairs.mask.tolist())


@dataclass(frozen=True)
class Relation:
    """What a relational loss is given: s, t `[..., A, X]` and own `[A, X]`."""

    s: Tensor
    t: Tensor
    own: Tensor

    def columns_in(self, order: Tensor) -> Relation:
        return Relation(self.s[..., order], self.t[..., order], self.own[..., order])

    def views_in(self, order: Tensor) -> Relation:
        """Of square relations: the rows in the columns' new order too."""
        columns = self.columns_in(order)
        return Relation(
            columns.s[..., order, :], columns.t[..., order, :], columns.own[..., order, :]
        )

    def to(self, dtype: torch.dtype) -> Relation:
        return Relation(self.s.to(dtype), self.t.to(dtype), self.own)

    def with_student(self, s: Tensor) -> Relation:
        return replace(self, s=s)


def embeddings(views: int, dim: int, *, seed: int) -> Tensor:
    rows = torch.randn(views, dim, generator=generator(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(rows, dim=-1)


def student_columns(views: int, *, seed: int) -> Relation:
    """Each network's rows with themselves; they may differ in width."""
    f, g = embeddings(views, 5, seed=seed), embeddings(views, 9, seed=seed + 100)
    s, t = f @ f.T, g @ g.T
    # A Gram matrix's diagonal is 1 up to rounding, on either side; here exactly.
    return Relation(s.fill_diagonal_(1), t.fill_diagonal_(1), torch.eye(views, dtype=torch.bool))


def teacher_columns(anchors: int, others: int, *, seed: int) -> Relation:
    """Both networks' rows with the teacher's; the first anchors are columns too."""
    f, g = embeddings(anchors, 6, seed=seed), embeddings(anchors, 6, seed=seed + 100)
    rest = embeddings(others - anchors + 1, 6, seed=seed + 200)
    columns = torch.cat([g[:-1], rest])
    own = torch.eye(anchors, others, dtype=torch.bool)
    own[-1] = False  # The last anchor is no column.
    return Relation(f @ columns.T, g @ columns.T, own)


def codebooks(anchors: int, *, seed: int) -> Relation:
    return Relation(
        cosines(anchors, 3, 7, seed=seed),
        cosines(anchors, 3, 7, seed=seed + 100),
        torch.zeros(anchors, 0, dtype=torch.bool),
    )


@dataclass(frozen=True)
class RelationalCase:
    loss: RelationalLoss
    oracle: RelationalOracle
    draw: Callable[[int], Relation]

    def __str__(self) -> str:
        relation = self.draw(0)
        return f"{type(self.loss).__name__}-{'x'.join(map(str, relation.s.shape))}"

    @property
    def is_square(self) -> bool:
        own = self.draw(0).own
        return own.shape[0] == own.shape[1]


def square(seed: int) -> Relation:
    return student_columns(8, seed=seed)


def oblong(seed: int) -> Relation:
    return teacher_columns(6, 9, seed=seed)


def books(seed: int) -> Relation:
    return codebooks(5, seed=seed)


def _both(loss: RelationalLoss, oracle: RelationalOracle) -> list[RelationalCase]:
    return [RelationalCase(loss, oracle, square), RelationalCase(loss, oracle, oblong)]


RELATIONAL_CASES = [
    *_both(RkdDistance(), reference_relational.rkd_distance),
    RelationalCase(RkdAngle(), reference_relational.rkd_angle, square),
    *_both(DarkRank(alpha=3, beta=3, nearest=4), reference_relational.darkrank(3, 3, 4)),
    *_both(
        Csd(nearest=5, temperature_student=1, temperature_teacher=0.1),
        reference_relational.csd(5, 1, 0.1),
    ),
    *_both(RamlRelational(), reference_relational.raml_relational),
    RelationalCase(Ssp(temperature=0.1), reference_relational.ssp(0.1), books),
    *_both(
        Rop(nearest=6, temperature=0.1, weight_scale=0.2), reference_relational.rop(6, 0.1, 0.2)
    ),
    *_both(
        D3(nearest=5, first_order_weight=50, hard_weight=2, simple_weight=1),
        reference_relational.d3(5, 50, 2, 1),
    ),
]


def slow_relational(case: RelationalCase, given: Relation) -> float:
    return case.oracle(given.s.tolist(), given.t.tolist(), given.own.tolist())
