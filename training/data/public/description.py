"""What there is to know of a public data set before it is here: files, terms, counts, place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from lorgnette.errors import InvalidDataset

Placing = Callable[[PurePosixPath], PurePosixPath | None]
"""From a member of an archive to its path below the set's home; None leaves it out."""


@dataclass(frozen=True)
class Checksum:
    """Of a whole file, in hexadecimal digits.  MD5 finds damage, not malice."""

    algorithm: Literal["sha256", "md5"]
    digits: str


@dataclass(frozen=True)
class Whole:
    """The file itself lies at this path below the set's home."""

    path: str


@dataclass(frozen=True)
class Members:
    """The file is a tar or zip archive.  placing: of its members, made once the home is known."""

    placing: Callable[[Path], Placing]


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    name: unique in its set; its path on a mirror and in the downloads folder.
    url: None when the publisher hands it out only by hand.
    size_bytes, checksum: None where we know none: then its content is what is verified, and the
    sha256 of the first download is recorded for the next.
    """

    name: str
    url: str | None
    size_bytes: int | None
    checksum: Checksum | None
    put: Whole | Members


@dataclass(frozen=True)
class Inventory:
    """What the ground truth says.  counts: of what there is.  images: all it names."""

    counts: Mapping[str, int]
    images: Iterable[Path]


@dataclass(frozen=True)
class PublicSet:
    """A data set, in its published layout.

    terms: licence and whom to credit.  homes: folders below the root it may lie in, the first is
    where it is put.  mark: a path that tells a home from an empty folder.  disk_bytes: once
    unpacked, about.  counts: as published.  inventory: reads a home's ground truth, looking at no
    image; raises `InvalidDataset`.  by_hand: where to ask when the files have no address.
    """

    name: str
    title: str
    terms: str
    homes: tuple[str, ...]
    mark: str
    files: tuple[RemoteFile, ...]
    disk_bytes: int
    counts: Mapping[str, int]
    inventory: Callable[[Path], Inventory]
    by_hand: str | None

    def home(self, root: Path) -> Path:
        """The folder the set lies in, or would be put: the root itself if it holds the set."""
        folders = [root / home for home in self.homes]
        for folder in (*folders, root):
            if (folder / self.mark).exists():
                return folder
        return next((folder for folder in folders if folder.is_dir()), folders[0])


def flattened(folder: str) -> Members:
    """Every photograph of the archive directly below one folder, whatever its own folders."""

    def place(member: PurePosixPath) -> PurePosixPath | None:
        return PurePosixPath(folder, member.name) if is_photograph(member) else None

    return Members(lambda _home: place)


def below(folder: str) -> Members:
    """The whole archive below one folder."""

    def place(member: PurePosixPath) -> PurePosixPath | None:
        return None if is_litter(member) else PurePosixPath(folder, member)

    return Members(lambda _home: place)


def without_top_folder() -> Members:
    """The archive below the home itself, without the one folder that holds it all."""

    def place(member: PurePosixPath) -> PurePosixPath | None:
        inside = member.parts[1:]
        return None if is_litter(member) or not inside else PurePosixPath(*inside)

    return Members(lambda _home: place)


def is_photograph(member: PurePosixPath) -> bool:
    """Whether a member is a photograph, and no litter."""
    return member.suffix.lower() in {".jpg", ".jpeg", ".png"} and not is_litter(member)


def is_litter(member: PurePosixPath) -> bool:
    """Whether a member is what a Mac leaves beside every file."""
    return member.name.startswith("._") or "__MACOSX" in member.parts


def require_present(images: Iterable[Path], *, name: str, root: Path) -> None:
    """Raise `InvalidDataset` when one of the images is missing."""
    missing = [path for path in images if not path.is_file()]
    if missing:
        raise InvalidDataset(
            f"{name} lacks {len(missing):,} images, the first is {missing[0]}: "
            f"run `lorgnette data get {name} --root {root}`, which fetches only what is missing"
        )


def lines_of(path: Path) -> list[str]:
    """A list file's lines. Raises `InvalidDataset` when it is missing or no text."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDataset(
            f"cannot read {path}: {error}; `lorgnette data get` fetches it"
        ) from error
