"""A bundle: a directory with `manifest.json`, ONNX files and the golden vectors they must give."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from lorgnette._faults import first_fault
from lorgnette.errors import (
    BundleCorrupt,
    InvalidBundle,
    InvalidConfiguration,
    InvalidImage,
    InvalidVector,
)
from lorgnette.image import read_image
from lorgnette.manifest import BundleFile, Manifest, Space, Variant
from lorgnette.vectors import Vectors, from_base64

MANIFEST_NAME = "manifest.json"
BESIDE = ("manifest.json.sig", "release.json", "release.json.sig")
"""What may lie beside the manifest without being listed in it: see `lorgnette.models`."""

MAX_MANIFEST_BYTES = 4 * 1024 * 1024

# fp16 is the default download: half the bytes, the same speed, cosine >= 0.9995 to fp32.
_PREFERENCE: tuple[Variant, ...] = ("fp16", "fp32", "int8")


@dataclass(frozen=True)
class GoldenCase:
    """An image `[H, W, 3]` uint8 and the unit row `[1, D]` float32 it must give."""

    name: str
    pixels: NDArray[np.uint8]
    vector: Vectors


@dataclass(frozen=True)
class Bundle:
    """An opened bundle, every file of which had the sha256 its manifest states."""

    directory: Path
    manifest: Manifest

    @classmethod
    def open(cls, directory: Path | str) -> Self:
        """Read the manifest and verify every file.

        Raises `InvalidBundle` when something is missing or malformed, `BundleCorrupt` when a file
        is not the one the manifest describes.
        """
        directory = Path(directory)
        manifest = read_manifest(directory)
        for entry in manifest.all_files():
            verify_file(directory / entry.path, entry)
        return cls(directory=directory, manifest=manifest)

    @property
    def space(self) -> Space:
        """The space this bundle's vectors belong to."""
        return self.manifest.space

    def default_variant(self) -> Variant:
        """The variant that is taken alike on every machine: fp16, else fp32, else int8."""
        return next(variant for variant in _PREFERENCE if variant in self.manifest.files)

    def file(self, variant: Variant) -> Path:
        """Path of a variant's ONNX file. Raises `InvalidBundle` when the bundle lacks it."""
        entry = self.manifest.files.get(variant)
        if entry is None:
            has = ", ".join(sorted(self.manifest.files))
            raise InvalidBundle(
                f"bundle {self.manifest.name!r} has no variant {variant!r}, only {has}: "
                "choose one of these, or export it again with that variant"
            )
        return self.directory / entry.path

    def golden(self) -> tuple[GoldenCase, ...]:
        """The golden images and vectors, decoded. Raises `InvalidBundle` for malformed ones."""
        return tuple(
            GoldenCase(
                name=case.image.path,
                pixels=_golden_pixels(self.directory / case.image.path),
                vector=_golden_vector(case.vector_b64, dim=self.space.dim),
            )
            for case in self.manifest.golden
        )


def _golden_pixels(path: Path) -> NDArray[np.uint8]:
    try:
        return read_image(path)
    except InvalidImage as error:
        raise InvalidBundle(f"a golden image of the bundle is malformed: {error}") from error


def _golden_vector(text: str, *, dim: int) -> Vectors:
    try:
        return from_base64(text, dtype="f32", dim=dim)
    except InvalidVector as error:
        raise InvalidBundle(f"a golden vector of the manifest is malformed: {error}") from error


def read_manifest(directory: Path) -> Manifest:
    """Parse `manifest.json` of a directory. Raises `InvalidBundle`; files are not yet verified."""
    path = directory / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            text = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise InvalidBundle(
            f"{directory} is not a bundle: cannot read {MANIFEST_NAME} ({error.strerror}); "
            "make one with `lorgnette export`, or fetch one with `lorgnette pull`"
        ) from error
    return parse_manifest(text, origin=str(path))


def parse_manifest(text: bytes, *, origin: str) -> Manifest:
    """Validate manifest bytes from a file or a server. Raises `InvalidBundle` naming `origin`."""
    if len(text) > MAX_MANIFEST_BYTES:
        raise InvalidBundle(f"{origin} is longer than {MAX_MANIFEST_BYTES} bytes: not a manifest")
    try:
        return Manifest.parse(text)
    except ValidationError as error:
        raise InvalidBundle(
            f"{origin} does not validate at {first_fault(error)}; fetch or export the bundle again"
        ) from error


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_file(path: Path, entry: BundleFile) -> None:
    """Raise `InvalidBundle` when the file is missing, `BundleCorrupt` when it is another one."""
    try:
        size, digest = path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise InvalidBundle(f"bundle file {path} cannot be read: {error.strerror}") from error
    if size != entry.bytes or digest != entry.sha256:
        raise BundleCorrupt(
            f"bundle file {path} is not the one its manifest describes (expected "
            f"{entry.bytes} bytes, sha256 {entry.sha256[:12]}…; found {size} bytes, "
            f"{digest[:12]}…): fetch or export the bundle again"
        )


def require_replaceable(target: Path) -> None:
    """Refuse to replace a directory that holds anything but a bundle: it would be lost.

    Raises `InvalidConfiguration`; a directory that is absent or empty is fine.
    """
    way_out = "name a directory of its own for the bundle"
    if Path.cwd().is_relative_to(target):
        raise InvalidConfiguration(f"{target} holds the current directory: {way_out}")
    if not target.exists():
        return
    if not target.is_dir():
        raise InvalidConfiguration(f"{target} is a file: {way_out}")
    if not any(target.iterdir()):
        return
    try:
        manifest = read_manifest(target)
    except InvalidBundle as error:
        raise InvalidConfiguration(
            f"{target} is not empty and not a bundle: {way_out}, or remove it first"
        ) from error
    ours = {MANIFEST_NAME, *BESIDE, *(entry.path for entry in manifest.all_files())}
    held = (path for path in target.rglob("*") if path.is_symlink() or not path.is_dir())
    strangers = {path.relative_to(target).as_posix() for path in held} - ours
    if strangers:
        raise InvalidConfiguration(
            f"{target} holds {min(strangers)}, not a part of its bundle, which would be lost: "
            f"{way_out}"
        )
