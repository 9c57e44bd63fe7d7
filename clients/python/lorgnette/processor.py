"""Which variant of a bundle is the fast one on this machine's processor."""

from __future__ import annotations

import functools
import platform
import sys
from pathlib import Path
from typing import Final

from lorgnette.bundle import Bundle
from lorgnette.manifest import Variant

MAX_RECALL_DELTA: Final = 0.01
"""int8 is chosen unasked only if its manifest says that it loses at most so much: one point."""

# Linux' names of integer dot products: x86 (AVX-512 and AVX VNNI), 64-bit ARM.
_DOT_PRODUCTS: Final = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})


def fast_variant(bundle: Bundle, *, has_dot_product: bool) -> Variant:
    """int8 where it is fast and its measured loss is small; else the bundle's default.

    Without integer dot products int8 is no faster than fp16, and on older x86 it saturates.
    """
    int8 = bundle.manifest.files.get("int8")
    is_near = int8 is not None and (
        int8.recall_delta is not None and int8.recall_delta <= MAX_RECALL_DELTA
    )
    return "int8" if has_dot_product and is_near else bundle.default_variant()


@functools.cache
def has_int8_dot_product() -> bool:
    """Whether this processor multiplies and adds bytes in one instruction, as far as is known.

    Linux says so in /proc/cpuinfo, and every Apple processor can. Elsewhere (Windows, Intel Macs)
    the answer is False: ask for int8 by name there.
    """
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform != "linux":
        return False
    try:
        return names_dot_product(Path("/proc/cpuinfo").read_text(errors="replace"))
    except OSError:
        return False


def names_dot_product(cpuinfo: str) -> bool:
    """Whether a /proc/cpuinfo lists such an instruction among its `flags` or `Features`."""
    return any(
        _DOT_PRODUCTS & set(line.partition(":")[2].split())
        for line in cpuinfo.splitlines()
        if line.partition(":")[0].strip() in ("flags", "Features")
    )
