"""A bundle that appears whole or not at all.  No torch."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lorgnette.bundle import MANIFEST_NAME, Bundle, require_replaceable
from lorgnette.durable import (
    exclusively,
    recover_directory,
    replace_directory,
    sibling,
    write_synced,
)
from lorgnette.encoder import Encoder
from lorgnette.errors import DiskFull, InvalidConfiguration
from lorgnette.manifest import BundleFile, Manifest, Variant
from training.files import sha256_of

FILE_NAMES: dict[Variant, str] = {
    "fp32": "model.onnx",
    "fp16": "model.fp16.onnx",
    "net": "net.onnx",
    "pre": "pre.onnx",
    "int8": "model.int8.onnx",
}


def require_free(out: Path, *, replace: bool) -> None:
    """Check early that a bundle may be written at `out`.

    replace: an existing bundle may be replaced, and nothing else.
    Raises `InvalidConfiguration` when it is taken, or no directory can be made there.
    """
    parent = next(path for path in (out.parent, *out.parent.parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InvalidConfiguration(f"--out {out}: cannot write in {parent}; choose another place")
    if out.is_dir() and any(out.iterdir()) and not replace:
        raise InvalidConfiguration(
            f"--out {out} exists and is not empty: give --force to replace the bundle in it, or "
            "another --out"
        )
    require_replaceable(out.resolve())


@contextmanager
def staged(out: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write files aside, by relative path; leaving the block without an error puts them at `out`.

    Whatever fails, `out` is what it was before. What a killed export left aside is removed.
    """
    target = out.resolve()
    with exclusively(target):
        recover_directory(target)
        staging = sibling(target, "exporting")
        shutil.rmtree(staging, ignore_errors=True)
        try:
            for name, content in files.items():
                path = staging / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_synced(path, content)
            yield staging
            replace_directory(target, staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def entry_of(path: str, content: bytes, *, recall_delta: float | None = None) -> BundleFile:
    """A file as the manifest lists it."""
    digest = sha256_of(content)
    return BundleFile(path=path, sha256=digest, bytes=len(content), recall_delta=recall_delta)


def write_bundle(out: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Put a bundle at `out`, replacing one that is there: whole, after its golden check, or not.

    files: contents by relative path. Raises `DiskFull` and `InvalidConfiguration`.
    """
    try:
        with staged(out, {**files, MANIFEST_NAME: manifest.dump().encode()}) as staging:
            _check(Bundle.open(staging))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            megabytes = sum(map(len, files.values())) / 1e6
            raise DiskFull(
                f"--out {out}: no space left for {megabytes:.0f} MB; nothing was written: free "
                "some, choose another place or fewer --variants"
            ) from error
        raise InvalidConfiguration(
            f"--out {out}: cannot be written ({error.strerror}); nothing was changed: choose "
            "another place"
        ) from error
    return Bundle.open(out)


def _check(bundle: Bundle) -> None:
    """Open the staged bundle as a device will: every encoder reproduces the golden vectors."""
    for variant in bundle.manifest.files:
        if variant not in ("net", "pre"):
            Encoder(bundle, variant=variant).check()
