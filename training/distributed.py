"""Several processes, one batch: each embeds its share of the images, all compute the same loss.

A loss over a batch is no mean over parts of it: hardest negatives, ProxyAnchor's sums over the
examples and relational losses see all anchors and all columns.  So the batch is the single
process's batch: every process knows all of it (who, anchors, others, used: functions of the seed
and the step), embeds `share` of its images, gathers the rows, and computes the whole loss.  That
S `[A, X]` is computed once per process costs nothing beside the network.  With the gradients
averaged, loss and gradient are the single process's.

    batch = ...                                # the whole, but images[share(N)] only
    step(batch, student=..., ...)              # gathers the rows
    average_gradients(parameters)              # of the student and of the objective's modules

What is not shared: statistics of batch norms that train (each process has its images') and the
masks of dropout.  The caller initialises `torch.distributed` (torchrun; gloo or nccl) and begins
with equal weights.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lorgnette.errors import InvalidConfiguration


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def share(count: int) -> slice:
    """The part of `count` images that this process embeds; the parts differ by one at most.

    Raises `InvalidConfiguration` when there are fewer images than processes.
    """
    return _share_of(rank(), count, of=processes())


def gathered(rows: Tensor, *, count: int) -> Tensor:
    """All processes' rows in order, `[count, D]`, from this one's share `[n, D]`, differentiable.

    Each process computes the whole loss, so its gradient with respect to its own rows is already
    complete.  It is multiplied by the number of processes, because `average_gradients` divides.
    """
    if processes() == 1:
        return rows
    whole: Tensor = _Gather.apply(rows, count)
    return whole


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes; call it before the optimiser's step.

    Parameters without a gradient are left: they have none in any process.
    """
    if processes() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= processes()
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
        gradient.copy_(mean.view_as(gradient))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor, count: int) -> Tensor:
        world = processes()
        sizes = [_size(_share_of(r, count, of=world)) for r in range(world)]
        assert len(rows) == sizes[rank()], (len(rows), sizes, rank())
        # Gloo gathers equal shapes only.
        padded = F.pad(rows.contiguous(), (0, 0, 0, max(sizes) - len(rows)))
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient[share(len(gradient))] * processes(), None


def _share_of(number: int, count: int, *, of: int) -> slice:
    if count < of:
        raise InvalidConfiguration(
            f"a batch of {count} images for {of} processes: give each at least one image, with "
            "larger batches or fewer processes"
        )
    return slice(number * count // of, (number + 1) * count // of)


def _size(part: slice) -> int:
    return int(part.stop - part.start)
