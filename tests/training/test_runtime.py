"""What a run sets and gives back, what it sweeps, and what of torch's it says in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from lorgnette.errors import NotEnoughMemory, Unreachable
from training.runtime import run

ALLOCATOR = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.\nframe #0"
GLOO = "[gloo/transport/tcp/pair.cc:545] Connection reset by peer. Check the logs\nGLHF"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), NotEnoughMemory),
        (RuntimeError(ALLOCATOR), NotEnoughMemory),
        (MemoryError(), NotEnoughMemory),
        (RuntimeError(GLOO), Unreachable),
        (dist.DistNetworkError("the connection was closed"), Unreachable),
    ],
)
def test_memory_and_processes_that_are_gone_are_told_in_a_sentence(
    error: Exception, kind: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught, run(tmp_path, threads=1):
        raise error
    assert "\n" not in str(caught.value)
    assert "Check the logs" not in str(caught.value)
    assert "again" in str(caught.value) or "same command" in str(caught.value)


def test_what_is_a_defect_stays_one(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shape"), run(tmp_path, threads=1):
        raise RuntimeError("shape")


def test_what_a_killed_process_was_writing_is_swept_and_nothing_else(tmp_path: Path) -> None:
    torn = [
        tmp_path / place / f".{name}.123.writing"
        for place, name in {
            ".": "checkpoint.pt",
            "kept/00000004": "model.safetensors",
            "teacher": "rows-000000000.npy",
            "pooled-trained": "rows-000000000.npy",
        }.items()
    ]
    others = [tmp_path / "checkpoint.pt", tmp_path / "report" / ".report.html.123.writing"]
    for path in torn + others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    with run(tmp_path, threads=1):
        assert [path for path in torn + others if path.exists()] == others
