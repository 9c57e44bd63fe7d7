"""Unpacking that can be cut anywhere: each file appears whole, and a record says when all are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lorgnette.errors import InvalidDataset
from training.data.public.archives import Member, members
from training.data.public.description import Placing
from training.files import write_atomically, writing_to

RECORDS = ".unpacked"
"""Folder of a set's home that lists the files each archive gave, one `bytes<TAB>path` a line."""


def unpack(
    archive: Path, home: Path, *, record: str, placing: Placing, on_bytes: Callable[[int], None]
) -> None:
    """Put an archive's members below `home`; those that are there with the same size are kept.

    record: the archive's name in `RECORDS`.  on_bytes: told how many bytes are unpacked.
    Raises `UnsafeFile` or `InvalidDataset` for the archive, `DiskFull`.
    """
    lines = list(_put_all(archive, home, placing, on_bytes))
    if not lines:
        raise InvalidDataset(f"{archive} holds none of the files that were expected in it")
    # The record must not outlive, in a power cut, the files that it says are there.
    if hasattr(os, "sync"):
        os.sync()
    write_atomically(_record(home, record), "".join(lines).encode())


def is_unpacked(home: Path, record: str) -> bool:
    """Whether all files an archive once gave are still there, with their sizes.

    A record that is empty or damaged says nothing: the archive is fetched again.
    """
    try:
        lines = _record(home, record).read_text(encoding="utf-8").splitlines()
        entries = [_entry(line) for line in lines]
    except (OSError, ValueError):
        return False
    return bool(entries) and all(_has_size(home / name, size) for name, size in entries)


def _put_all(
    archive: Path, home: Path, placing: Placing, on_bytes: Callable[[int], None]
) -> Iterator[str]:
    """The lines of the record."""
    written: list[Path] = []
    done = 0
    try:
        for member in members(archive):
            path = placing(member.path)
            if path is None:
                continue
            if not _has_size(home / path, member.size_bytes):
                written.append(home / path)
                _put(member, home / path)
            done += member.size_bytes
            on_bytes(done)
            yield f"{member.size_bytes}\t{path}\n"
    except InvalidDataset:
        # Only at its end does gzip say that something before was wrong.
        for suspect in written:
            suspect.unlink(missing_ok=True)
        raise


def _entry(line: str) -> tuple[str, int]:
    size_bytes, _, name = line.partition("\t")
    return name, int(size_bytes)


def _record(home: Path, record: str) -> Path:
    return home / RECORDS / (record.replace("/", "_") + ".tsv")


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _put(member: Member, target: Path) -> None:
    beside = target.with_name(f".{target.name}.part")
    with writing_to(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                for chunk in member.chunks:
                    file.write(chunk)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
