"""A moving average of the weights, and the way back towards where they started."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


@dataclass
class Average:
    """start: the weights before training.  now: their moving average."""

    start: State
    now: State


def copied(network: nn.Module) -> State:
    """The network's state, detached and copied."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def average_into(average: State, network: nn.Module, *, decay: float, step: int) -> None:
    """Move the average towards the network, in place, after the step numbered from 0.

    The decay starts at 0.1 and grows to its value, (1 + step) / (10 + step), so that a short
    training is not dominated by its starting point.
    """
    now = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                average[name].lerp_(tensor, 1 - now)
            else:
                average[name].copy_(tensor)


def interpolated(start: State, end: State, *, share: float) -> State:
    """start + share · (end - start); what is not a floating-point number is the end's."""
    return {
        name: torch.lerp(start[name], tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }
