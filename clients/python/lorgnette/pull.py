"""Fetching a bundle from a server: verified, resumed when cut, and put in place by one rename."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from lorgnette._calls import Call
from lorgnette._download import Download
from lorgnette._senders import Connection, Sender
from lorgnette.bundle import MANIFEST_NAME, Bundle, require_replaceable, verify_file
from lorgnette.durable import exclusively, replace_directory, replace_file, sibling
from lorgnette.encoder import Encoder
from lorgnette.errors import (
    BundleCorrupt,
    DiskFull,
    InvalidBundle,
    InvalidConfiguration,
    LorgnetteError,
    Unreachable,
)
from lorgnette.manifest import BundleFile
from lorgnette.models.offer import (
    SIGNATURE_NAME,
    Offer,
    fetch_offer,
    local_manifest,
    only_student,
    path_of,
)
from lorgnette.models.places import activate, recover
from lorgnette.models.signing import check_public_keys

IsWanted = Callable[[Offer], bool]
OnProgress = Callable[[int, int], None]
"""Called with the bytes had so far and the bytes of the whole bundle."""

MAX_BUNDLE_BYTES = 2 * 1024**3
"""A manifest that states more than this is refused before anything is downloaded."""


def pull_bundle(
    base_url: str,
    name: str | None = None,
    *,
    to: Path | str,
    key: str | None = None,
    timeout_s: float = 30.0,
    max_retries: int = 2,
    transport: httpx.BaseTransport | None = None,
    on_progress: OnProgress | None = None,
    public_keys: Sequence[str] = (),
) -> Bundle:
    """Make directory `to` the server's bundle and open it; download nothing if it already is.

    name: None takes the only student the server has. timeout_s: seconds without a byte.
    Every file is checked against the manifest's size and sha256 and the model against its golden
    vectors before one rename replaces `to`; on any error `to` is what it was before. A pull that
    was cut goes on where it stopped, also in the next process. What was replaced is kept for
    `ModelStore.rollback`. public_keys: base64 Ed25519; given, one of them must have signed it.

    Raises `InvalidConfiguration` when `to` holds anything that is not a bundle, `NotFound`,
    `InvalidSignature`, `SdkTooOld`, `BundleCorrupt`, `GoldenMismatch` or another `InvalidBundle`
    for what the server gave, and `Unreachable` when it cannot be had.
    """
    check_public_keys(public_keys)
    sender = Sender(Connection(base_url, key, timeout_s, max_retries), transport)
    with sender.http:
        bundle = refresh(
            sender,
            name,
            Path(to).resolve(),
            on_progress or silently,
            keys=public_keys,
            is_wanted=lambda _offer: True,
        )
    assert bundle is not None, "everything is wanted"
    return bundle


def refresh(
    sender: Sender,
    name: str | None,
    target: Path,
    on_progress: OnProgress,
    *,
    keys: Sequence[str],
    is_wanted: IsWanted,
) -> Bundle | None:
    """Do what `pull_bundle` says, if the offer is wanted; None when it is not. Takes the lock."""
    with writing(target), exclusively(target):
        recover(target)
        require_replaceable(target)
        offer = fetch_offer(sender, name or only_student(sender), target, keys)
        return _take(sender, offer, target, on_progress, is_wanted)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn `OSError` into `DiskFull` or `InvalidConfiguration`, naming the directory."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no space left for {target}: free some, then pull again") from error
        raise InvalidConfiguration(f"cannot write {target}: {error.strerror or error}") from error


def _take(
    sender: Sender, offer: Offer, target: Path, on_progress: OnProgress, is_wanted: IsWanted
) -> Bundle | None:
    is_held = offer.text == local_manifest(target)
    if is_held:
        try:
            bundle = Bundle.open(target)
            _write_signature(offer, target)
            return bundle
        except InvalidBundle:
            pass  # A damaged copy of the right bundle: fetch it again.
    elif not is_wanted(offer):
        return None
    staging = sibling(target, "pulling")
    try:
        _stage(sender, offer, staging, on_progress)
        Encoder(Bundle.open(staging)).check()
        # A damaged copy is no predecessor to go back to.
        (replace_directory if is_held else activate)(target, staging)
    except Unreachable:
        raise  # What was downloaded stays beside the target, for the next pull.
    except (LorgnetteError, OSError):
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return Bundle(directory=target, manifest=offer.manifest)


def _write_signature(offer: Offer, directory: Path) -> None:
    path = directory / SIGNATURE_NAME
    if offer.signature is not None and not (
        path.is_file() and path.read_bytes() == offer.signature
    ):
        replace_file(path, offer.signature)


def _stage(sender: Sender, offer: Offer, staging: Path, on_progress: OnProgress) -> None:
    """Bring every file of the manifest into `staging`, keeping what an earlier pull left there."""
    files = offer.manifest.all_files()
    total = sum(entry.bytes for entry in files)
    if total > MAX_BUNDLE_BYTES:
        raise InvalidBundle(
            f"{offer.name!r} states {total:,} bytes, more than the {MAX_BUNDLE_BYTES:,} we accept"
        )
    if local_manifest(staging) != offer.text:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        (staging / MANIFEST_NAME).write_bytes(offer.text)
    _write_signature(offer, staging)
    before = 0
    for entry in files:
        path = path_of(offer.name, *entry.path.split("/"))
        Download(
            call=Call("GET", path, params={"sha256": entry.sha256}),
            entry=entry,
            path=staging / entry.path,
            on_bytes=partial(_add, on_progress, before, total),
        ).fetch(sender)
        _verify(staging / entry.path, entry)
        before += entry.bytes
        on_progress(before, total)


def _add(on_progress: OnProgress, before: int, total: int, have: int) -> None:
    on_progress(before + have, total)


def _verify(path: Path, entry: BundleFile) -> None:
    try:
        verify_file(path, entry)
    except BundleCorrupt as error:
        raise BundleCorrupt(
            f"{entry.path} arrived with another sha256 than the server's manifest states: "
            "nothing was changed here; pull again, and tell the server's operator if it stays"
        ) from error


def silently(_have: int, _total: int) -> None:
    """No progress was asked for."""
