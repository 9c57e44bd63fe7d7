"""Whitening, learned on unlabelled rows or on matching pairs, folded into one linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lorgnette.errors import InvalidConfiguration
from training.models.embedder import Embedder
from training.models.specs import Head


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
        """Make the layer compute it: weight = P, bias = -P m, rounded to float32 once.

        Raises `InvalidConfiguration` when the layer has another shape or no bias.
        """
        if head.bias is None or head.weight.shape != self.projection.shape:
            raise InvalidConfiguration(
                f"a whitening {list(self.projection.shape)} needs a linear layer of that shape "
                f"with bias, found {list(head.weight.shape)}"
                f"{'' if head.bias is not None else ' without bias'}: change model.dim or "
                "model.head"
            )
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


def learn_supervised_whitening(
    rows: NDArray[np.floating],
    *,
    queries: NDArray[np.integer],
    positives: NDArray[np.integer],
    dim: int,
) -> Whitening:
    """Learn whitening from matching pairs.  Radenović et al., TPAMI 2019 (Lw).

    The differences within pairs are whitened, then all rows rotated so that the first dimensions
    hold most.  rows: `[N, C]`, of any images.  queries, positives: `[M]` row numbers, each pair the
    same thing seen twice.  The mean is the queries'.  dim: 1 to C.
    Raises `InvalidConfiguration` for no pairs, pairs of other rows, or a dim beyond C.
    """
    x = np.asarray(rows, dtype=np.float64)
    _require_pairs(x, queries, positives, dim=dim)
    mean = x[queries].mean(axis=0)
    within = x[queries] - x[positives]
    decorrelated = np.linalg.inv(_cholesky(within.T @ within / len(within)))
    spread = (x - mean) @ decorrelated.T
    _, eigenvectors = np.linalg.eigh(spread.T @ spread)
    projection: NDArray[np.float64] = eigenvectors[:, ::-1][:, :dim].T @ decorrelated
    return Whitening(mean=mean, projection=_with_fixed_signs(projection))


def whitened(embedder: Embedder, whitening: Whitening) -> Embedder:
    """A network without head, and the whitening of its rows as its head; in evaluation mode.

    Raises `InvalidConfiguration` when it has a head already.
    """
    network = embedder.network
    if network.head is not None:
        raise InvalidConfiguration(
            "a whitening follows the pooled row, but this network has a head: fold the whitening "
            "into that (fold_into), or give a network with model.head: null"
        )
    head = Head(unit_input=True, bias=True, dropout=0.0, batch_norm=False)
    made = Embedder(network.model_copy(update={"head": head, "dim": len(whitening.projection)}))
    made.load_state_dict(embedder.state_dict(), strict=False)
    whitening.fold_into(made.linear)
    return made.eval()


def _require_pairs(
    x: NDArray[np.float64],
    queries: NDArray[np.integer],
    positives: NDArray[np.integer],
    *,
    dim: int,
) -> None:
    if x.ndim != 2 or not 1 <= dim <= x.shape[1] or not np.isfinite(x).all():
        raise InvalidConfiguration(
            f"whitening to {dim} dimensions needs finite rows [N, C] with C of at least that, "
            f"found {list(x.shape)}"
        )
    if queries.ndim != 1 or queries.shape != positives.shape or not len(queries):
        raise InvalidConfiguration(
            "supervised whitening needs matching pairs, one positive a query, found "
            f"{list(queries.shape)} queries and {list(positives.shape)} positives"
        )
    numbers = np.concatenate([queries, positives])
    if numbers.min() < 0 or numbers.max() >= len(x):
        raise InvalidConfiguration(
            f"a pair names a row from {numbers.min()} to {numbers.max()}, expected 0 to "
            f"{len(x) - 1}: the pairs are of another set of rows"
        )


def _cholesky(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower Cholesky factor of a covariance, its diagonal raised until it is positive definite.

    By 1e-10, then ten times as much each time, as cirtorch does; fewer pairs than dimensions
    leave directions without any difference.
    """
    raised = 0.0
    while True:
        try:
            factor = np.linalg.cholesky(matrix + raised * np.eye(len(matrix)))
        except np.linalg.LinAlgError:
            raised = max(10 * raised, 1e-10)
        else:
            return factor.astype(np.float64, copy=False)


def _with_fixed_signs(projection: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eigenvectors have no sign of their own: make each one's largest entry positive."""
    largest = np.abs(projection).argmax(axis=1)
    signs = np.sign(projection[np.arange(len(projection)), largest])
    fixed: NDArray[np.float64] = projection * signs[:, None]
    return fixed
