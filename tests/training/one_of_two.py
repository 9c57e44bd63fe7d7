"""One process of those that take a step together: `python -m … RANK DIRECTORY`.

It embeds its share of a batch's images and leaves loss and gradients in the directory.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tests.training.methods import LABELS, TABLE, objective_of, take_step
from tests.training.tiny_batch import TinyStudent, batch_of, tuples_of
from training.data.loader import Batch
from training.distributed import average_gradients, share
from training.objective import Objective

PROCESSES = 2
METHODS = (
    "symmetric multi-similarity",
    "symmetric triplet",
    "mined AML",
    "regression",
    "ProxyAnchor",
    "Metrix embedding",
    "RKD",
    "RAML",
)
BATCHES: dict[str, Batch] = {
    "even": batch_of([*LABELS, 1]),
    "uneven": batch_of(LABELS),
}
TUPLES = tuples_of([[0, 0, 1, 2], [1, 1, 0, 2], [2, 2, 0, 1]])
CASES = {
    **{
        f"{method}, {size}": (method, batch)
        for method in METHODS
        for size, batch in BATCHES.items()
    },
    "AML contrastive, tuples": ("AML contrastive", TUPLES),
}


def measured(objective: Objective, batch: Batch) -> dict[str, Tensor]:
    """The loss and all gradients of a step, averaged over the processes."""
    student = TinyStudent()
    loss = take_step(objective, student, batch)
    learned = nn.ModuleList([student, objective.modules])
    average_gradients(learned.parameters())
    gradients = {name: p.grad for name, p in learned.named_parameters() if p.grad is not None}
    return {"loss": torch.tensor(loss), **gradients}


def main(rank: int, directory: Path) -> None:
    """Meet the others, take all the steps, leave what came of them."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=(directory / "meeting").as_uri(),
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(seconds=60),
    )
    found = {}
    for case, (method, batch) in CASES.items():
        objective = objective_of(TABLE[method], directory / f"teacher{rank}")
        mine = replace(batch, images=batch.images[share(len(batch.images))])
        found[case] = measured(objective, mine)
    torch.save(found, directory / f"rank{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    main(int(sys.argv[1]), Path(sys.argv[2]))
