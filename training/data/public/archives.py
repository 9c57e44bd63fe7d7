"""What a tar or zip archive holds, one regular file after the other, and nothing that is unsafe."""

from __future__ import annotations

import logging
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from lorgnette.errors import InvalidDataset, UnsafeFile

log = logging.getLogger(__name__)

MOST_TIMES_LARGER = 20
"""Photographs do not shrink, lists shrink to a tenth: what unpacks to more is a bomb."""

ALWAYS_ALLOWED_BYTES = 64 * 1024**2

CHUNK_BYTES = 1024**2


@dataclass(frozen=True)
class Member:
    """A regular file.  path: relative, without `..`.  size_bytes: unpacked, as it claims.

    chunks: its content; reading it raises `InvalidDataset` when the archive is damaged.
    """

    path: PurePosixPath
    size_bytes: int
    chunks: Iterator[bytes]


def members(archive: Path) -> Iterator[Member]:
    """The regular files of an archive in its order, each to be read before the next is asked for.

    Links and devices are left out and named in the log.
    Raises `UnsafeFile` for a path that leads outside and for an archive that grows beyond
    `MOST_TIMES_LARGER`; `InvalidDataset` when it is damaged or no archive.
    """
    allowed = ALWAYS_ALLOWED_BYTES + MOST_TIMES_LARGER * archive.stat().st_size
    with _damage_named(archive):
        for member in _of_zip(archive) if zipfile.is_zipfile(archive) else _of_tar(archive):
            allowed -= member.size_bytes
            if allowed < 0:
                raise UnsafeFile(
                    f"{archive} unpacks to more than {MOST_TIMES_LARGER} times its size: it was "
                    "made to fill a disk; fetch it again from its publisher"
                )
            yield member


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InvalidDataset(f"{archive} is damaged, or no archive: {error}") from error
    except (OSError, RuntimeError, NotImplementedError) as error:
        # gzip reports damage as an OSError without a number, zipfile a password as RuntimeError.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidDataset(f"{archive} cannot be unpacked: {error}") from error


def _of_tar(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, "r:*") as file:
        for info in file:
            try:
                safe = tarfile.data_filter(info, "/nowhere")
            except (tarfile.LinkOutsideDestinationError, tarfile.AbsoluteLinkError):
                log.warning("left out of %s: the link %s", archive.name, info.name)
                continue
            except tarfile.SpecialFileError:
                log.warning("left out of %s: the device %s", archive.name, info.name)
                continue
            except tarfile.FilterError as error:
                raise UnsafeFile(f"{archive}: {error}; it was not unpacked further") from error
            if safe.isreg():
                content = _chunks(archive, partial(_opened, file, safe))
                yield Member(_inside(safe.name, archive), safe.size, content)
            elif not safe.isdir():
                log.warning("left out of %s: the link %s", archive.name, info.name)
        # tarfile stops at the mark of the archive's end; gzip's checksum comes after it.
        assert file.fileobj is not None, "an open archive has a file"
        while file.fileobj.read(CHUNK_BYTES):
            pass


def _opened(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(info)
    assert content is not None, "a regular file has content"
    return content


def _of_zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            path = _inside(info.filename, archive)
            if stat.S_ISLNK(info.external_attr >> 16):
                log.warning("left out of %s: the link %s", archive.name, info.filename)
            elif not info.is_dir():
                yield Member(path, info.file_size, _chunks(archive, partial(file.open, info)))


def _chunks(archive: Path, opened: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    with _damage_named(archive), opened() as content:
        yield from iter(lambda: content.read(CHUNK_BYTES), b"")


def _inside(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    is_inside = not path.is_absolute() and ".." not in path.parts and path.parts
    if not is_inside or "\\" in name or ":" in path.parts[0] or not name.isprintable():
        raise UnsafeFile(
            f"{archive} holds {name!r:.80}, which is no path inside a folder: it was not unpacked "
            "further; fetch it again from its publisher"
        )
    return path
