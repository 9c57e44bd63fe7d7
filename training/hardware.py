"""What a run computed on, in words that stand beside its figures."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def hardware() -> str:
    """Such as `2 × Intel(R) Xeon(R) CPU @ 2.80GHz (x86_64), no GPU`."""
    import torch

    cpu = f"{os.cpu_count()} × {_cpu_name()} ({platform.machine()})"
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return ", ".join([cpu, *(gpus or ["no GPU"])])


def _cpu_name() -> str:
    """The model where the system says it, else its family."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")
