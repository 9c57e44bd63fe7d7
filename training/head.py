"""The student's head in closed form: ridge regression onto the teacher's rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Rows = NDArray[np.floating]


@dataclass(frozen=True)
class LinearMap:
    """`y = W x + b`.  weight: float64 `[D, C]`.  bias: float64 `[D]`."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def copy_into(self, head: nn.Linear) -> None:
        """Set the layer's weight and bias, rounded to float32."""
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(self.weight))
            head.bias.copy_(torch.from_numpy(self.bias))


def solve_ridge(shards: Iterable[tuple[Rows, Rows]], *, ridge: float) -> LinearMap:
    """The W, b that minimise mean ‖W x + b - y‖² + λ ‖W‖², λ = ridge · mean ‖x‖².

    shards: pairs of features x `[n, C]` and targets y `[n, D]`, together N >= 1 rows; only their
    sums are kept, so N is not bounded by memory.  The bias is not penalised: it is solved for by
    centring.  Computed in float64.
    """
    count, energy = 0, 0.0
    sum_x, sum_y, sum_xx, sum_xy = (np.zeros(1) for _ in range(4))
    for features, targets in shards:
        x, y = features.astype(np.float64), targets.astype(np.float64)
        count, energy = count + len(x), energy + float((x**2).sum())
        sum_x, sum_y = sum_x + x.sum(axis=0), sum_y + y.sum(axis=0)
        sum_xx, sum_xy = sum_xx + x.T @ x, sum_xy + x.T @ y
    mean_x, mean_y = sum_x / count, sum_y / count
    covariance = sum_xx / count - np.outer(mean_x, mean_x)
    crossed = sum_xy / count - np.outer(mean_x, mean_y)
    penalty = ridge * energy / count
    weight: NDArray[np.float64] = np.linalg.solve(
        covariance + penalty * np.eye(len(mean_x)), crossed
    ).T.astype(np.float64)
    return LinearMap(weight=weight, bias=mean_y - weight @ mean_x)
