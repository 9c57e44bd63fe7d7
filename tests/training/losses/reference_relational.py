"""The relational losses as slow float64 loops, written from the formulas and nothing else.

s, t: nested lists `[A][X]`, for SSP `[A][M][K]`.  own: bools `[A][X]`.  Each returns a float.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.training.losses.reference import Flags, Matrix, euclid

# [A][X], and [A][M][K] for SSP alone.
RelationalOracle = Callable[[Any, Any, Flags], float]


def smooth_l1(x: float) -> float:
    return x * x / 2 if abs(x) < 1 else abs(x) - 0.5


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def softmax(z: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in z)
    return [math.exp(value) / total for value in z]


def ranked(t: list[float], columns: list[int]) -> list[int]:
    """Those columns, the teacher's nearest first."""
    return sorted(columns, key=lambda x: -t[x])


def rkd_distance(s: Matrix, t: Matrix, own: Flags) -> float:
    pairs = [(a, x) for a in range(len(s)) for x in range(len(s[a])) if not own[a][x]]

    def relative(m: Matrix) -> dict[tuple[int, int], float]:
        d = {(a, x): euclid(m[a][x]) for a, x in pairs}
        there = [value for value in d.values() if value > 0]
        return {pair: value / (sum(there) / len(there)) for pair, value in d.items()}

    ds, dt = relative(s), relative(t)
    return sum(smooth_l1(ds[pair] - dt[pair]) for pair in pairs) / len(pairs)


def angle_cosine(x: Matrix, i: int, j: int, k: int) -> float:
    """Cosine of the angle that rows j and k of x make at row i; from the vectors."""
    to_j = [b - a for a, b in zip(x[i], x[j], strict=True)]
    to_k = [b - a for a, b in zip(x[i], x[k], strict=True)]
    inner = sum(a * b for a, b in zip(to_j, to_k, strict=True))
    return inner / math.sqrt(sum(a * a for a in to_j)) / math.sqrt(sum(a * a for a in to_k))


def rkd_angle(s: Matrix, t: Matrix, own: Flags) -> float:
    def cosine(m: Matrix, i: int, j: int, k: int) -> float:
        # Law of cosines, on the triangle's three sides.
        ij, ik, jk = euclid(m[i][j]), euclid(m[i][k]), euclid(m[j][k])
        return (ij**2 + ik**2 - jk**2) / (2 * ij * ik)

    total, count = 0.0, 0
    n = len(s)
    for i in range(n):
        for j in range(n):
            for k in range(n):
                if not (own[i][j] or own[i][k] or own[j][k]):
                    total += smooth_l1(cosine(s, i, j, k) - cosine(t, i, j, k))
                    count += 1
    return total / count


def darkrank(alpha: float, beta: float, nearest: int) -> RelationalOracle:
    def loss(s: Matrix, t: Matrix, own: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            order = ranked(t[a], [x for x in range(len(s[a])) if not own[a][x]])[:nearest]
            score = [-alpha * euclid(s[a][x]) ** beta for x in order]
            for i in range(len(order)):
                total -= math.log(math.exp(score[i]) / sum(math.exp(z) for z in score[i:]))
        return total / len(s)

    return loss


def csd(nearest: int, temperature_student: float, temperature_teacher: float) -> RelationalOracle:
    def loss(s: Matrix, t: Matrix, own: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            order = ranked(t[a], list(range(len(t[a]))))[:nearest]
            p = softmax([t[a][x] / temperature_teacher for x in order])
            q = softmax([s[a][x] / temperature_student for x in order])
            total += kl(p, q)
        return total / len(s)

    return loss


def raml_relational(s: Matrix, t: Matrix, own: Flags) -> float:
    errors = [
        (s[a][x] - t[a][x]) ** 2 for a in range(len(s)) for x in range(len(s[a])) if not own[a][x]
    ]
    return sum(errors) / len(errors)


def ssp(temperature: float) -> RelationalOracle:
    def loss(s: list[Matrix], t: list[Matrix], own: Flags) -> float:
        total, count = 0.0, 0
        for a in range(len(s)):
            for m in range(len(s[a])):
                p = softmax([value / temperature for value in t[a][m]])
                q = softmax([value / temperature for value in s[a][m]])
                total += kl(p, q)
                count += 1
        return total / count

    return loss


def rop(nearest: int, temperature: float, weight_scale: float) -> RelationalOracle:
    def loss(s: Matrix, t: Matrix, own: Flags) -> float:
        total = 0.0
        for a in range(len(s)):
            order = ranked(t[a], list(range(len(t[a]))))[:nearest]
            weight = softmax([weight_scale * t[a][x] for x in order])
            for place, i in enumerate(order, start=1):
                for j in order:
                    step = 0.5 if t[a][j] == t[a][i] else float(t[a][j] > t[a][i])
                    soft = 1 / (1 + math.exp(-(s[a][j] - t[a][i]) / temperature))
                    total += weight[place - 1] * place * (step - soft) ** 2
        return total / nearest / len(s)

    return loss


def d3(nearest: int, first_order: float, hard: float, simple: float) -> RelationalOracle:
    def loss(s: Matrix, t: Matrix, own: Flags) -> float:
        anchors = len(s)
        gap = sum(
            (s[a][x] - t[a][x]) ** 2 for a in range(anchors) for x in range(len(s[a])) if own[a][x]
        )
        total = first_order * math.sqrt(gap) / anchors
        for a in range(anchors):
            order = ranked(t[a], [x for x in range(len(t[a])) if not own[a][x]])[: nearest - 1]
            wrong = right = 0.0
            for i in order:
                for j in order:
                    ds, dt = s[a][j] - s[a][i], t[a][j] - t[a][i]
                    r = (ds - dt) / (0.1 + abs(dt))
                    wrong += r * r if ds * dt < 0 else 0.0
                    right += r * r if ds * dt > 0 else 0.0
            rows = hard * math.sqrt(wrong) + simple * math.sqrt(right)
            total += rows / (nearest - 1) / anchors
        return total

    return loss
