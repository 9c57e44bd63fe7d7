"""What the files of a set were when they were first downloaded, to notice when one has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from lorgnette._faults import first_fault
from lorgnette.errors import ChecksumMismatch, InvalidDataset
from training.data.public.description import Checksum, RemoteFile
from training.files import write_atomically
from training.schema import Frozen

LOCK_NAME = "lock.json"


class Locked(Frozen):
    """A file as it first came.  origin: its address, or "by hand"."""

    origin: str
    size_bytes: int
    sha256: str


class Lock(Frozen):
    """files: by `RemoteFile.name`."""

    files: dict[str, Locked]


def check_and_record(path: Path, file: RemoteFile, *, downloads: Path, origin: str) -> None:
    """Compare a download with its published checksum, or with what it was the first time.

    Raises `ChecksumMismatch`; then the download is gone.
    """
    found = {name: _digest(path, name) for name in {"sha256", _algorithm(file.checksum)}}
    lock = read_lock(downloads)
    before = lock.files.get(file.name)
    expected = file.checksum or (Checksum("sha256", before.sha256) if before else None)
    if expected is not None and found[expected.algorithm] != expected.digits:
        path.unlink()
        source, trust = ("its publisher states", "from another place with --mirror")
        if not file.checksum:
            source = f"it was first ({LOCK_NAME} knows)"
            trust = f"delete {downloads / LOCK_NAME} if you trust the new one"
        raise ChecksumMismatch(
            f"{file.name} from {origin} has the {expected.algorithm} {found[expected.algorithm]}, "
            f"not {expected.digits} as {source}: it was removed. Run the same command again; if it "
            f"stays, the file has changed: fetch it by hand, or {trust}"
        )
    entry = Locked(origin=origin, size_bytes=path.stat().st_size, sha256=found["sha256"])
    _write(downloads, {**lock.files, file.name: entry})


def forget(file: RemoteFile, *, downloads: Path) -> None:
    """Drop what is recorded of a file that turned out to be damaged."""
    kept = {name: entry for name, entry in read_lock(downloads).files.items() if name != file.name}
    _write(downloads, kept)


def read_lock(downloads: Path) -> Lock:
    """The lock of a downloads folder, empty if there is none yet. Raises `InvalidDataset`."""
    path = downloads / LOCK_NAME
    if not path.exists():
        return Lock(files={})
    try:
        return Lock.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = first_fault(error) if isinstance(error, ValidationError) else error
        raise InvalidDataset(f"{path} cannot be read ({why}): delete it") from error


def _write(downloads: Path, files: dict[str, Locked]) -> None:
    content = Lock(files=files).model_dump_json(indent=2) + "\n"
    write_atomically(downloads / LOCK_NAME, content.encode())


def _algorithm(checksum: Checksum | None) -> str:
    return checksum.algorithm if checksum else "sha256"


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        if algorithm == "md5":
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return hashlib.file_digest(file, algorithm).hexdigest()
