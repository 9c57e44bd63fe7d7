"""What a run sets for its whole process: threads, device, the group of processes, the lock."""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from lorgnette.errors import InvalidConfiguration, NotEnoughMemory, Unreachable

Value = TypeVar("Value")

LOCK_NAME = ".lock"

TORN = (".*.writing", "kept/*/.*.writing", "teacher/.*.writing", "pooled*/.*.writing")
"""What a process that was killed while writing leaves in `out`, each as large as a checkpoint."""

_PATIENCE = timedelta(days=2)
"""How long processes wait for each other: the first may have a large cache to fill."""

# From glibc's malloc.h; other C libraries have no mallopt and are left alone.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


@dataclass(frozen=True)
class Place:
    """Which of the processes of a run this one is, from 0, and where it computes."""

    rank: int
    ranks: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """The first process alone writes."""
        return self.rank == 0


ALONE = Place(rank=0, ranks=1, device=torch.device("cpu"))


@contextmanager
def run(out: Path, *, threads: int) -> Iterator[Place]:
    """Fix the number of threads, flush denormals (slow on most CPUs), join the group, lock `out`.

    The group is what `torchrun` says in the environment: one process without it.  NCCL and one
    GPU a process where there are GPUs, else gloo on the CPU.
    Raises `InvalidConfiguration` when `out` cannot be written or another process trains in it,
    `NotEnoughMemory` and `Unreachable` for what torch says when memory, or another process, is
    gone.
    """
    _keep_freed_memory()
    with (
        _told(),
        _arithmetic(threads),
        _group() as place,
        _locked(out) if place.is_first else nullcontext(),
    ):
        yield place


@contextmanager
def first_alone(place: Place) -> Iterator[None]:
    """The first process runs the block, then the others do, and find what it has written."""
    if not place.is_first:
        dist.barrier()
    yield
    if place.is_first and place.ranks > 1:
        dist.barrier()


def agreed(value: Value, place: Place) -> Value:
    """The first process's value, in all of them."""
    if place.ranks == 1:
        return value
    shared = [value]
    dist.broadcast_object_list(shared)
    return shared[0]


def spread(module: nn.Module, place: Place) -> None:
    """Give all processes the first one's parameters and buffers."""
    if place.ranks > 1:
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, src=0)


@contextmanager
def _told() -> Iterator[None]:
    """Say in a sentence what torch says in many, and in none of its own classes."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        said = str(error).splitlines()[0].partition(". ")[0] if str(error) else "no more is known"
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in said:
            raise NotEnoughMemory(
                f"out of memory ({said}): make batches or images smaller (sampling, "
                "schedule.sizes) and schedule.accumulate larger, or running.batch_size smaller if "
                "it was not training yet; then run again"
            ) from error
        if isinstance(error, dist.DistError) or "gloo" in said:
            raise Unreachable(
                f"another process of this training is gone ({said}): look at what it said; the "
                "same command goes on from the last checkpoint"
            ) from error
        raise


@contextmanager
def _arithmetic(threads: int) -> Iterator[None]:
    """Within the block, so many threads, and denormals count as 0; then as it was."""
    before, flushed = torch.get_num_threads(), _denormals_are_flushed()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(before)


def _denormals_are_flushed() -> bool:
    smallest = sys.float_info.min
    return smallest / 2 == 0


@contextmanager
def _group() -> Iterator[Place]:
    ranks, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if has_gpu else torch.device("cpu")
    if ranks == 1:
        yield Place(0, 1, device)
        return
    if has_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if has_gpu else "gloo", timeout=_PATIENCE)
    try:
        yield Place(dist.get_rank(), ranks, device)
    finally:
        dist.destroy_process_group()


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK_NAME).open("w")
    except OSError as error:
        raise InvalidConfiguration(f"cannot write to --out {out}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidConfiguration(
                f"another process is training in {out}: wait for it, or choose another --out"
            ) from error
        for torn in (path for pattern in TORN for path in out.glob(pattern)):
            torn.unlink(missing_ok=True)
        yield


def _keep_freed_memory() -> None:
    """Stop glibc from returning each freed feature map to the kernel: a third of the time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
