"""PCA whitening, learned on unlabelled rows and folded into one linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lorgnette.errors import InvalidConfiguration


@dataclass(frozen=True)
class Whitening:
    """`y = P (x - m)`.  mean m: float64 `[C]`.  projection P: float64 `[D, C]`."""

    mean: NDArray[np.float64]
    projection: NDArray[np.float64]

    def __call__(self, rows: NDArray[np.floating]) -> NDArray[np.float64]:
        """rows: `[N, C]`.  Returns `[N, D]` float64, not of unit length."""
        whitened: NDArray[np.float64] = (rows - self.mean) @ self.projection.T
        return whitened

    def fold_into(self, head: nn.Linear) -> None:
        """Make the layer compute it: weight = P, bias = -P m, rounded to float32 once."""
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(self.projection))
            head.bias.copy_(torch.from_numpy(-self.projection @ self.mean))


def learn_whitening(rows: NDArray[np.floating], *, dim: int, shrinkage: float) -> Whitening:
    """Learn PCA whitening to `dim` dimensions.  Jégou and Chum, ECCV 2012.

    rows: `[N, C]`, N > dim.  shrinkage: >= 0; each kept eigenvalue λ counts as λ + shrinkage λ̄,
    λ̄ the mean of the kept ones, so that weak directions are amplified less; 0 is plain whitening
    (the learning rows then have covariance I), a large one is PCA up to scale.
    Raises `InvalidConfiguration` when the rows do not span `dim` dimensions.
    """
    x = np.asarray(rows, dtype=np.float64)
    if not (x.ndim == 2 and 1 <= dim <= x.shape[1] and dim < x.shape[0]):
        raise InvalidConfiguration(
            f"whitening to {dim} dimensions needs more than {dim} rows of at least {dim} numbers, "
            f"found {list(x.shape)}: give more photographs or a smaller dim"
        )
    mean = x.mean(axis=0)
    eigenvalues, eigenvectors = np.linalg.eigh(np.cov(x, rowvar=False, bias=True))
    kept = eigenvalues[::-1][:dim]
    if not kept[-1] > 1e-12 * kept[0]:
        raise InvalidConfiguration(
            f"the {len(x)} learning rows span fewer than {dim} dimensions: "
            "give more varied photographs or a smaller dim"
        )
    shrunk = kept + shrinkage * kept.mean()
    projection: NDArray[np.float64] = eigenvectors[:, ::-1][:, :dim].T / np.sqrt(shrunk)[:, None]
    return Whitening(mean=mean, projection=_with_fixed_signs(projection))


def _with_fixed_signs(projection: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eigenvectors have no sign of their own: make each one's largest entry positive."""
    largest = np.abs(projection).argmax(axis=1)
    signs = np.sign(projection[np.arange(len(projection)), largest])
    fixed: NDArray[np.float64] = projection * signs[:, None]
    return fixed
