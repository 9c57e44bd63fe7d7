"""The students this service holds: their encoders, their files, and which spaces they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidBundle, InvalidConfiguration, NotFound, Unavailable
from lorgnette.models.release import MAX_RELEASE_BYTES
from lorgnette.text import quoted
from lorgnette.wire import StudentInfo
from service.gallery.files import stamp_of


@dataclass(frozen=True)
class ServedFile:
    """A file as it was verified at start. stamp: `files.stamp_of` it then."""

    path: Path
    sha256: str
    bytes: int
    stamp: tuple[int, int, int] | None

    def is_unchanged(self) -> bool:
        """Whether the file on disk is still the one that was verified."""
        return self.stamp is not None and stamp_of(self.path) == self.stamp


@dataclass(frozen=True)
class Student:
    """A query bundle at work. files: by path inside the bundle; manifest: its bytes on disk."""

    encoder: Encoder
    files: Mapping[str, ServedFile]
    manifest: bytes
    manifest_sha256: str

    @classmethod
    def open(cls, directory: Path, *, max_pixels: int) -> Student:
        """Verify a bundle's files, load its encoder and check it against its golden vectors.

        Raises `InvalidBundle` and its children.
        """
        bundle = Bundle.open(directory)
        if bundle.manifest.role != "query":
            raise InvalidBundle(
                f"{directory} is a {bundle.manifest.role} bundle (a teacher, for the gallery), "
                "expected a query bundle: give --student a student of the same space"
            )
        encoder = Encoder(bundle, max_pixels=max_pixels)
        encoder.check()
        files = {
            entry.path: ServedFile(
                path=directory / entry.path,
                sha256=entry.sha256,
                bytes=entry.bytes,
                stamp=stamp_of(directory / entry.path),
            )
            for entry in bundle.manifest.all_files()
        }
        # Byte for byte, not dumped anew: a signature is over these bytes.
        manifest = (directory / MANIFEST_NAME).read_bytes()
        digest = hashlib.sha256(manifest).hexdigest()
        return cls(encoder=encoder, files=files, manifest=manifest, manifest_sha256=digest)

    @property
    def name(self) -> str:
        """The bundle's name, unique in one service."""
        return self.encoder.bundle.manifest.name

    def by_sha256(self, sha256: str) -> ServedFile:
        """The file with this content. Raises `NotFound`."""
        for file in self.files.values():
            if file.sha256 == sha256:
                return file
        raise NotFound(f"{self.name!r} has no file of this sha256: read its manifest again")

    def beside(self, filename: str) -> bytes:
        """A signature or the release beside the manifest, read anew: operators change them.

        Raises `NotFound`, which means unsigned, or released to everybody, and `Unavailable` for
        one that is there and cannot be read: it must not be taken for none.
        """
        path = self.encoder.bundle.directory / filename
        try:
            with path.open("rb") as file:
                return file.read(MAX_RELEASE_BYTES)
        except FileNotFoundError as error:
            raise NotFound(f"{self.name!r} has no {filename}: it is optional") from error
        except OSError as error:
            raise Unavailable(
                f"{filename} of {self.name!r} cannot be read ({error.strerror}): try again later; "
                "what is held goes on"
            ) from error

    @property
    def space_id(self) -> str:
        """The space its vectors belong to."""
        return self.encoder.space.id

    def info(self) -> StudentInfo:
        """What `GET /models` says of it."""
        manifest = self.encoder.bundle.manifest
        return StudentInfo(
            name=manifest.name,
            version=manifest.version,
            space=manifest.space.id,
            manifest=f"/models/{manifest.name}/{MANIFEST_NAME}",
        )


@dataclass(frozen=True)
class Students:
    """Every student of the service, in the order of the command line."""

    all: tuple[Student, ...]

    @classmethod
    def open(cls, directories: Sequence[Path], *, max_pixels: int) -> Students:
        """Open every student. Raises `InvalidBundle`; `InvalidConfiguration` for a name twice."""
        opened: dict[str, Student] = {}
        for directory in directories:
            student = Student.open(directory, max_pixels=max_pixels)
            if student.name in opened:
                raise InvalidConfiguration(
                    f"two students are named {student.name!r}: give each --student its own name"
                )
            opened[student.name] = student
        return cls(all=tuple(opened.values()))

    def named(self, name: str) -> Student:
        """The student of that name. Raises `NotFound`."""
        for student in self.all:
            if student.name == name:
                return student
        raise NotFound(
            f"this server has no model {quoted(name)}: GET /models lists the ones it has"
        )

    def fitting(self, space_ids: Collection[str]) -> tuple[Student, ...]:
        """The students whose vectors belong to one of the spaces."""
        return tuple(student for student in self.all if student.space_id in space_ids)
