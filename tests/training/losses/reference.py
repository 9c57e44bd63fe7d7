"""The pair losses as slow float64 loops, written from the formulas and from nothing in `training`.

s, y: nested lists `[A][X]`.  used: bools `[A][X]`.  Each returns a float.  Plain `math`: no
trick for large exponents, no vectorised sum, so that a mistake there cannot be shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

Matrix = list[list[float]]
Flags = list[list[bool]]
PairOracle = Callable[[Matrix, Matrix, Flags], float]
Scalar = Callable[[float], float]


def relu(x: float) -> float:
    return max(x, 0.0)


def euclid(s: float) -> float:
    return math.sqrt(relu(2 - 2 * s))


def used_of(y: Matrix, used: Flags, a: int) -> Iterator[tuple[int, float]]:
    """The used columns of anchor a and how positive each is."""
    return ((x, y[a][x]) for x in range(len(y[a])) if used[a][x])


def additive(
    s: Matrix,
    y: Matrix,
    used: Flags,
    *,
    sigma_plus: Scalar,
    sigma_minus: Scalar,
    rho_plus: Scalar,
    rho_minus: Scalar,
) -> float:
    """Mean over anchors of σ⁺(Σ y ρ⁺) + σ⁻(Σ (1 - y) ρ⁻)."""
    total = 0.0
    for a in range(len(s)):
        plus = minus = 0.0
        for x, label in used_of(y, used, a):
            plus += label * rho_plus(s[a][x])
            minus += (1 - label) * rho_minus(s[a][x])
        total += sigma_plus(plus) + sigma_minus(minus)
    return total / len(s)


def contrastive(margin: float) -> PairOracle:
    def loss(s: Matrix, y: Matrix, used: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            for x, label in used_of(y, used, a):
                total += label * (1 - s[a][x]) + (1 - label) * relu(s[a][x] - margin)
        return total / len(s)

    return loss


def contrastive_distance(margin: float) -> PairOracle:
    def loss(s: Matrix, y: Matrix, used: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            for x, label in used_of(y, used, a):
                d = euclid(s[a][x])
                total += label * d**2 / 2 + (1 - label) * relu(margin - d) ** 2 / 2
        return total / len(s)

    return loss


def contrastive_nonzero(margin: float) -> PairOracle:
    def loss(s: Matrix, y: Matrix, used: Flags) -> float:
        pull = pulled = push = pushed = 0.0
        for a in range(len(s)):
            for x, label in used_of(y, used, a):
                d = euclid(s[a][x])
                if d > 0:
                    pull += label * d
                    pulled += label
                if margin - d > 0:
                    push += (1 - label) * (margin - d)
                    pushed += 1 - label
        return (pull / pulled if pulled else 0.0) + (push / pushed if pushed else 0.0)

    return loss


def triplet(margin: float) -> PairOracle:
    def loss(s: Matrix, y: Matrix, used: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            for p, positive in used_of(y, used, a):
                for n, other in used_of(y, used, a):
                    if positive == 1 and other == 0:
                        total += relu(s[a][n] - s[a][p] + margin)
        return total / len(s)

    return loss


def triplet_squared(margin: float) -> PairOracle:
    def loss(s: Matrix, y: Matrix, used: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            for p, positive in used_of(y, used, a):
                for n, other in used_of(y, used, a):
                    if positive == 1 and other == 0:
                        total += relu(euclid(s[a][p]) ** 2 - euclid(s[a][n]) ** 2 + margin)
        return total / len(s)

    return loss


def multi_similarity(alpha: float, beta: float, base: float) -> PairOracle:
    def loss(s: Matrix, y: Matrix, used: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            plus = minus = 0.0
            for x, label in used_of(y, used, a):
                plus += label * math.exp(-alpha * (s[a][x] - base))
                minus += (1 - label) * math.exp(beta * (s[a][x] - base))
            total += math.log(1 + plus) / alpha + math.log(1 + minus) / beta
        return total / len(s)

    return loss


def _mean_over_positives(s: Matrix, y: Matrix, used: Flags, cost: Scalar) -> float:
    total = 0.0
    for a in range(len(s)):
        weight = sum(label for _, label in used_of(y, used, a))
        if weight:
            total += sum(label * cost(s[a][x]) for x, label in used_of(y, used, a)) / weight
    return total / len(s)


def regression(s: Matrix, y: Matrix, used: Flags) -> float:
    return _mean_over_positives(s, y, used, lambda cosine: euclid(cosine) ** 2 / 2)


def raml_absolute(s: Matrix, y: Matrix, used: Flags) -> float:
    return _mean_over_positives(s, y, used, lambda cosine: (1 - cosine) ** 2)


def arcface(scale: float, margin: float) -> PairOracle:
    def logit(cosine: float, label: float) -> float:
        angle = math.acos(cosine)
        if label == 0:
            return scale * cosine
        if angle + margin > math.pi:
            return scale * (cosine - margin * math.sin(margin))
        return scale * math.cos(angle + margin)

    def loss(s: Matrix, y: Matrix, used: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            logits = {x: logit(s[a][x], label) for x, label in used_of(y, used, a)}
            positives = [x for x, label in used_of(y, used, a) if label == 1]
            for p in positives:
                share = math.exp(logits[p]) / sum(math.exp(z) for z in logits.values())
                total -= math.log(share) / len(positives)
        return total / len(s)

    return loss


def proxy_anchor(alpha: float, margin: float) -> PairOracle:
    def loss(s: Matrix, y: Matrix, used: Flags) -> float:
        pull = push = 0.0
        with_positives = with_any = 0
        for p in range(len(s[0])):
            batch = [a for a in range(len(s)) if used[a][p]]
            plus = sum(y[a][p] * math.exp(-alpha * (s[a][p] - margin)) for a in batch)
            minus = sum((1 - y[a][p]) * math.exp(alpha * (s[a][p] + margin)) for a in batch)
            with_positives += any(y[a][p] > 0 for a in batch)
            with_any += bool(batch)
            pull += math.log(1 + plus)
            push += math.log(1 + minus)
        pulled = pull / with_positives if with_positives else 0.0
        return pulled + (push / with_any if with_any else 0.0)

    return loss


def proxy_nca(temperature: float) -> PairOracle:
    def loss(s: Matrix, y: Matrix, used: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            near = {
                x: math.exp(-(euclid(s[a][x]) ** 2) / temperature) for x, _ in used_of(y, used, a)
            }
            positive = sum(label * near[x] for x, label in used_of(y, used, a))
            if positive:
                total -= math.log(positive / sum(near.values()))
        return total / len(s)

    return loss
