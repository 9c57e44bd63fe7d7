"""What a build will need, told before it begins, and refused when it is not there."""

from __future__ import annotations

import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from lorgnette.errors import DiskFull, InvalidGallery, NotEnoughMemory
from lorgnette.manifest import Space
from service import defaults
from service.gallery import generations, milvus
from service.gallery.catalogue import Catalogue
from service.gallery.exact import BLOCK_ROWS
from service.gallery.generations import AUTO
from service.gallery.index_cost import cost_of
from service.gallery.recipes import largest_factory, training_rows

PROCESS_BYTES = 180_000_000
"""A process that has loaded numpy, FAISS, ONNX Runtime and a small teacher (measured: 169 MB)."""
_FIXED_BYTES = 20_000_000
_KNOWN_BYTES = 560
"""What is known of an item while it is looked through which lack a vector."""
_KEY_BYTES = 40
"""Of each row beside its numbers: its key, its place (measured: 35)."""
_CHECK_BYTES_A_ROW = 3_200
"""The exact neighbours of 200 rows are looked for in blocks: four float32 of each."""
_STORED_ROW_BYTES = 130
"""What SQLite keeps beside a vector."""
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Footprint:
    """Bytes a build needs at its worst moment; memory: beside what its process holds."""

    memory: int
    disk: int


def estimate(*, count: int, to_embed: int, dim: int, factory: str) -> Footprint:
    """What building `count` rows takes, of which `to_embed` are embedded and stored first.

    Raises `InvalidConfiguration` for a factory FAISS does not know.
    """
    # What goes to Milvus passes through here as it is.
    asked = "Flat" if milvus.is_address(factory) else factory
    chosen = largest_factory(count, dim=dim) if asked == AUTO else asked
    row, cost = 4 * dim, cost_of(chosen, dim=dim)
    # Training sees a copy without the rows held back, of which FAISS copies some again;
    # `auto` gives it no more than it needs.
    taught = min(count, training_rows(count)) if factory == AUTO else count
    copied = taught + min(count, cost.copied_again) if factory != AUTO else taught
    learning = copied * row if cost.is_learning else 0
    check = min(count, BLOCK_ROWS) * _CHECK_BYTES_A_ROW
    building = count * (row + _KEY_BYTES) + max(check, learning, count * (cost.held + cost.moved))
    # Embedded rows are on the disk twice until the write-ahead log has been folded in.
    disk = count * (cost.kept + 8) + 2 * to_embed * (row + _STORED_ROW_BYTES)
    return Footprint(memory=_FIXED_BYTES + max(count * _KNOWN_BYTES, building), disk=disk)


def check(
    catalogue: Catalogue, data: Path, space: Space, *, factory: str | None, process: int
) -> Footprint:
    """Estimate a reindex and refuse it when it would not fit.

    process: bytes its process will take before it begins, 0 when it is this one, which has begun.
    Raises `NotEnoughMemory` and `DiskFull` with the figures, `InvalidConfiguration`.
    """
    with catalogue.reading() as connection:
        (count,) = connection.execute("SELECT count(*) FROM items WHERE NOT deleted").fetchone()
        (have,) = connection.execute(
            "SELECT count(*) FROM vectors WHERE space = ?", (space.id,)
        ).fetchone()
    needed = estimate(
        count=count,
        to_embed=max(0, count - have),
        dim=space.dim,
        factory=factory or kept_factory(data, space),
    )
    memory, disk = available_memory(), shutil.disk_usage(data).free
    wanted = process + needed.memory
    if wanted > memory:
        raise NotEnoughMemory(
            f"building {count:,} vectors of {space.dim} needs about {_mb(wanted)} of memory, "
            f'{_mb(memory)} are free: choose a smaller factory such as "SQ8", or free some'
        )
    if needed.disk > disk:
        raise DiskFull(
            f"building {count:,} vectors of {space.dim} needs about {_mb(needed.disk)} on the disk "
            f"of {data}, {_mb(disk)} are free: free some, or choose a smaller factory"
        )
    return needed


def kept_factory(data: Path, space: Space) -> str:
    """The factory of the live generation, which a reindex keeps unless told otherwise.

    One that cannot be read is built anew as a first one would be.
    """
    try:
        live = generations.live_manifest(data, space.id)
    except InvalidGallery:
        live = None
    return defaults.FACTORY if live is None else live.asked


def available_memory() -> int:
    """Bytes a new process may take: the machine's, the container's, this process's own limit."""
    limits = [_meminfo("MemAvailable")]
    try:
        ceiling = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        limits += [int(ceiling) - used] if ceiling != "max" else []
    except (OSError, ValueError):
        pass
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits += [soft] if soft != resource.RLIM_INFINITY else []
    return max(0, min(limits))


def _meminfo(name: str) -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration, ValueError):
        return 2**63 - 1


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
