"""Relational losses: `(S student, T teacher, own) -> scalar`.  They have no labels.

The student's similarities of its anchors to some columns are to be like the teacher's of the same
anchors to the same columns.  Whose columns they are is a choice of the objective: the student's own
rows, the teacher's, or codebooks; only `RkdAngle` and `Ssp` leave no choice.  No gradient
reaches T.  Losses that look at the order of the columns are in `training.losses.ranking`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from training.losses.kernels import distance, kl_divergence, masked_mean, mean, root


class RelationalLoss(Protocol):
    """s, t: `[..., A, X]` cosine of unit rows, the student's and the teacher's.

    own: bool `[A, X]`, the pair of a view with itself.  Returns a scalar.
    """

    def __call__(self, s: Tensor, t: Tensor, own: Tensor) -> Tensor:  # noqa: D102
        ...


@dataclass(frozen=True)
class RkdDistance:
    """SmoothL1 of the distances, each network's divided by its own mean.

    Park et al. (RKD), CVPR 2019, its distance-wise loss.  Mean over all pairs but a view's own, and
    a network's mean distance is over those of them that are not 0.  The released code's mean counts
    the own pairs, as 0: of N views it is ours times (N - 1)/N.
    """

    def __call__(self, s: Tensor, t: Tensor, own: Tensor) -> Tensor:
        """Returns a scalar >= 0."""
        error = F.smooth_l1_loss(_relative(s, own), _relative(t.detach(), own), reduction="none")
        return masked_mean(error, ~own)


@dataclass(frozen=True)
class RkdAngle:
    """SmoothL1 of the cosines of the angles that views j and k make at view i.

    Park et al. (RKD), CVPR 2019, its angle-wise loss.  From the Gram matrix alone:
    (s_jk - s_ij - s_ik + 1) / (d_ij d_ik).  Mean over all triples of three different views; the
    released code's mean counts the others too: of N views, the degenerate ones where i = j or
    i = k are 0, and where j = k the cosine is 1 for both networks, so that it is ours times
    (N - 1)(N - 2)/N².
    """

    def __call__(self, s: Tensor, t: Tensor, own: Tensor) -> Tensor:
        """s, t: `[..., N, N]`, the student's rows with themselves, and the teacher's.

        Returns a scalar >= 0.  Raises `InvalidConfiguration` where columns are not the anchors.
        """
        if own.shape[-2] != own.shape[-1] or not own.diagonal().all():
            raise InvalidConfiguration(
                "'rkd-angle' compares the anchors with one another, found columns that are not the"
                f" anchors ({tuple(own.shape)} pairs): set others to student, and sample batches in"
                " which every image is an anchor"
            )
        others = ~own
        different = others.unsqueeze(-1) & others.unsqueeze(-2) & others.unsqueeze(-3)
        error = F.smooth_l1_loss(_angles(s), _angles(t.detach()), reduction="none")
        return masked_mean(error, different)


@dataclass(frozen=True)
class Csd:
    """KL between softmax over the teacher's K nearest columns: contextual similarity distillation.

    nearest: K, a view's own column among them if there is one.  temperature_student,
    temperature_teacher: of the cosines.  Wu et al., CVPR 2022.  The paper takes the K nearest of
    the whole set, found once; the D3still authors' code takes them in the batch, with K = 96
    and temperatures 1 and 0.01.  The paper's own values are not verified.
    """

    nearest: int
    temperature_student: float
    temperature_teacher: float

    def __call__(self, s: Tensor, t: Tensor, own: Tensor) -> Tensor:
        """Returns a scalar >= 0.  Raises `InvalidConfiguration` for fewer than K columns."""
        near, columns = nearest_columns(t.detach(), self.nearest, loss="csd")
        student = s.gather(-1, columns) / self.temperature_student
        return mean(kl_divergence(student, near / self.temperature_teacher))


@dataclass(frozen=True)
class RamlRelational:
    """Mean over all pairs but a view's own of (s - t)²: a relational term of RAML.

    Suma and Tolias, WACV 2023, have two: of the student's rows with themselves, and with the
    teacher's.  Theirs relate the augmentations of one image only: then s and t are
    `[G, V, V]` for G images of V views.  The released code adds 1e-6 inside the square and sums
    over images where this is their mean.
    """

    def __call__(self, s: Tensor, t: Tensor, own: Tensor) -> Tensor:
        """Returns a scalar in [0, 4]."""
        return masked_mean((s - t.detach()).square(), ~own)


@dataclass(frozen=True)
class Ssp:
    """KL between softmax over the centroids of each codebook: structure similarity preservation.

    temperature: of the cosines, one for both networks.  Wu et al., TMM 2024; the released code
    multiplies by 10, which is temperature 0.1, with 32 codebooks of 256 centroids.
    """

    temperature: float

    def __call__(self, s: Tensor, t: Tensor, own: Tensor) -> Tensor:
        """s, t: `[A, M, K]`, cosine of each of a row's M unit sub-vectors to K unit centroids.

        own is not looked at.  Returns a scalar >= 0, the mean over anchors and codebooks.
        """
        return mean(kl_divergence(s / self.temperature, t.detach() / self.temperature))


def nearest_columns(t: Tensor, count: int, *, loss: str) -> tuple[Tensor, Tensor]:
    """Values and places `[..., count]` of the columns nearest to each anchor, nearest first.

    loss: its name in a configuration, for the `InvalidConfiguration` where columns are too few.
    """
    if t.shape[-1] < count:
        raise InvalidConfiguration(
            f"{loss!r} looks at the {count} nearest columns, found {t.shape[-1]}:"
            " lower `nearest` or use larger batches"
        )
    values, columns = t.topk(count, dim=-1)
    return values, columns


def _relative(s: Tensor, own: Tensor) -> Tensor:
    """Distances over their mean; 0 where the mean is."""
    d = distance(s)
    scale = masked_mean(d, ~own & (d > 0))
    return d / torch.where(scale > 0, scale, 1)


def _angles(s: Tensor) -> Tensor:
    """Cosine of the angle at i between j and k, `[..., N, N, N]`, from cosines `[..., N, N]`."""
    inner = s.unsqueeze(-3) - s.unsqueeze(-1) - s.unsqueeze(-2) + 1
    d = root(2 - 2 * s)
    lengths = d.unsqueeze(-1) * d.unsqueeze(-2)
    return inner / torch.where(lengths > 0, lengths, 1)
