"""Relational losses that look at the order in which the teacher ranks the columns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.losses.kernels import distance, log_sum_exp, mean
from training.losses.relational import nearest_columns


@dataclass(frozen=True)
class DarkRank:
    """-log of the student's probability of the teacher's order of the nearest columns.

    nearest: L, how many, a view's own column left out.  A column scores -α Dᵝ; the probability
    of an order is Plackett and Luce's: Π_i e^(S_i) / Σ_{j ≥ i} e^(S_j), i and j from nearest
    to farthest.  alpha: α.  beta: β >= 1.  Chen et al., AAAI 2018, the hard
    transfer; α = β = 3, L = 4 in RKD's and AML's released code, as a mean over anchors.  AML's
    paper scores by the cosine, which is α = 1/2, β = 2: a constant cancels.
    """

    alpha: float
    beta: float
    nearest: int

    def __call__(self, s: Tensor, t: Tensor, own: Tensor) -> Tensor:
        """Returns a scalar >= 0.  Raises `InvalidConfiguration` for fewer than L columns."""
        ranked = t.detach().masked_fill(own, -torch.inf)
        near, columns = nearest_columns(ranked, self.nearest, loss="darkrank")
        score = -self.alpha * distance(s.gather(-1, columns)).pow(self.beta)
        there = near > -torch.inf
        # Row i: the columns still to be ranked when i is taken, which are i and those after it.
        order = torch.ones(self.nearest, self.nearest, dtype=torch.bool, device=s.device).triu()
        remaining = (there.unsqueeze(-2) & order).to(s.dtype)
        log_p = score - log_sum_exp(score.unsqueeze(-2).expand_as(remaining), remaining)
        return mean(-(log_p * there).sum(dim=-1))


@dataclass(frozen=True)
class Rop:
    """Σ_ij w_i (1[t_j > t_i] - σ((s_j - t_i)/τ))² / K over the teacher's K nearest columns.

    nearest: K, a view's own column among them if there is one.  temperature: τ of the cosines.
    weight_scale: w_i is softmax(weight_scale · t)_i times i's place, 1 for the nearest.  σ is the
    logistic function in the step's stead; the step is 1/2 where t_j = t_i, so that i = j asks for
    s_i = t_i.  Wu et al., ICLR 2023.  All of it is from the D3still authors' code of this loss
    (K = 96, τ = 0.1, 0.2), which computes the step as a logistic of 1e-6 and names the
    paper's eq. 8-10; the paper itself was not read, and its learnt mapping of ranks is not here.
    """

    nearest: int
    temperature: float
    weight_scale: float

    def __call__(self, s: Tensor, t: Tensor, own: Tensor) -> Tensor:
        """Returns a scalar >= 0.  Raises `InvalidConfiguration` for fewer than K columns."""
        near, columns = nearest_columns(t.detach(), self.nearest, loss="rop")
        place = torch.arange(1, self.nearest + 1, dtype=s.dtype, device=s.device)
        w = torch.softmax(self.weight_scale * near, dim=-1) * place
        step = torch.heaviside(_after(near, near), near.new_tensor(0.5))
        soft_step = torch.sigmoid(_after(s.gather(-1, columns), near) / self.temperature)
        rows = (w.unsqueeze(-1) * (step - soft_step).square()).sum(dim=(-2, -1))
        return mean(rows) / self.nearest


@dataclass(frozen=True)
class D3:
    """First-order match, and relative differences of the nearest columns' similarities: D3still.

        w₁ ‖s_own - t_own‖ / A + mean over anchors of (w_h ‖R · hard‖ + w_s ‖R · simple‖) / (k - 1)

    with R_ij = (Δs - Δt) / (0.1 + |Δt|), Δ the difference of columns j and i.  A pair of columns is
    hard where the student has it in the wrong order, simple where in the right one, and neither in
    a tie.

    nearest: k, counting a view's own column, which enters the first term only.
    first_order_weight, hard_weight, simple_weight: w₁, w_h, w_s.  Xie et al., CVPR 2024, from the
    released code (its defaults: 50, 2, 1 and k = 10; 100, 5, 1 for some sets); the paper was not
    read.  Where the teacher has a tie that code compares with a difference of 1: left out here.
    """

    nearest: int
    first_order_weight: float
    hard_weight: float
    simple_weight: float

    def __call__(self, s: Tensor, t: Tensor, own: Tensor) -> Tensor:
        """Returns a scalar >= 0.  Raises `InvalidConfiguration` for fewer than k - 1 columns."""
        t = t.detach()
        anchors = max(s.shape[:-1].numel(), 1)
        first_order = torch.linalg.vector_norm((s - t) * own) / anchors
        near, columns = nearest_columns(
            t.masked_fill(own, -torch.inf), self.nearest - 1, loss="d3still"
        )
        there = near > -torch.inf
        student, teacher = s.gather(-1, columns), near.where(there, 0)
        ds, dt = _after(student, student), _after(teacher, teacher)
        relative = (ds - dt) / (0.1 + dt.abs()) * (there.unsqueeze(-1) & there.unsqueeze(-2))
        order = ds.sign() * dt.sign()
        hard = torch.linalg.vector_norm(relative * (order < 0), dim=(-2, -1))
        simple = torch.linalg.vector_norm(relative * (order > 0), dim=(-2, -1))
        rows = (self.hard_weight * hard + self.simple_weight * simple) / (self.nearest - 1)
        total: Tensor = self.first_order_weight * first_order + mean(rows)
        return total


def _after(later: Tensor, earlier: Tensor) -> Tensor:
    """Differences `[..., i, j]` = later_j - earlier_i of two `[..., K]`."""
    return later.unsqueeze(-2) - earlier.unsqueeze(-1)
