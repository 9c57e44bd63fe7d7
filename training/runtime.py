"""What a run sets for its whole process, and the lock that keeps two runs out of one directory."""

from __future__ import annotations

import ctypes
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lorgnette.errors import InvalidConfiguration

LOCK_NAME = ".lock"

# From glibc's malloc.h; other C libraries have no mallopt and are left alone.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


@contextmanager
def run(out: Path, *, threads: int) -> Iterator[None]:
    """Fix the number of threads, flush denormals (slow on most CPUs), lock `out`.

    Raises `InvalidConfiguration` when `out` cannot be written or another process trains in it.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    _keep_freed_memory()
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
        yield


def _keep_freed_memory() -> None:
    """Stop glibc from returning each freed feature map to the kernel: a third of the time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
