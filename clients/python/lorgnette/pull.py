"""Fetching a bundle from a server: verified, resumed when cut, and put in place by one rename."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from lorgnette._answers import require_success
from lorgnette._calls import Call, Conversation, segment
from lorgnette._download import Download
from lorgnette._senders import Connection, Sender
from lorgnette.bundle import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    Bundle,
    parse_manifest,
    require_replaceable,
    verify_file,
)
from lorgnette.durable import exclusively, recover_directory, replace_directory, sibling
from lorgnette.encoder import Encoder
from lorgnette.errors import (
    BundleCorrupt,
    DiskFull,
    InvalidBundle,
    InvalidConfiguration,
    InvalidRequest,
    LorgnetteError,
    NotFound,
    Unreachable,
)
from lorgnette.manifest import BundleFile, Manifest

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
) -> Bundle:
    """Make directory `to` the server's bundle and open it; download nothing if it already is.

    name: None takes the only student the server has. timeout_s: seconds without a byte.
    Every file is checked against the manifest's size and sha256 and the model against its golden
    vectors before one rename replaces `to`; on any error `to` is what it was before. A pull that
    was cut goes on where it stopped, also in the next process.

    Raises `InvalidConfiguration` when `to` holds anything that is not a bundle, `NotFound`,
    `BundleCorrupt`, `GoldenMismatch` or another `InvalidBundle` for what the server gave, and
    `Unreachable` when it cannot be had.
    """
    target = Path(to).resolve()
    sender = Sender(Connection(base_url, key, timeout_s, max_retries), transport)
    try:
        with sender.http, exclusively(target):
            recover_directory(target)
            require_replaceable(target)
            chosen = name if name is not None else _only_student(sender)
            return _refresh(sender, chosen, target, on_progress or _silently)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no space left for {to}: free some, then pull again") from error
        raise InvalidConfiguration(f"cannot write {to}: {error.strerror or error}") from error


@dataclass(frozen=True)
class _Offer:
    """What the server has under a name. text: the manifest's own bytes."""

    name: str
    text: bytes
    manifest: Manifest


def _refresh(sender: Sender, name: str, target: Path, on_progress: OnProgress) -> Bundle:
    local = _local_manifest(target)
    text = _manifest_text(sender, name, local)
    offer = _Offer(name, text, parse_manifest(text, origin=f"the manifest of {name!r}"))
    if text == local:
        try:
            return Bundle.open(target)
        except InvalidBundle:
            pass  # A damaged copy of the right bundle: fetch it again.
    staging = sibling(target, "pulling")
    try:
        _stage(sender, offer, staging, on_progress)
        Encoder(Bundle.open(staging)).check()
        replace_directory(target, staging)
    except Unreachable:
        raise  # What was downloaded stays beside the target, for the next pull.
    except (LorgnetteError, OSError):
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return Bundle(directory=target, manifest=offer.manifest)


def _stage(sender: Sender, offer: _Offer, staging: Path, on_progress: OnProgress) -> None:
    """Bring every file of the manifest into `staging`, keeping what an earlier pull left there."""
    files = offer.manifest.all_files()
    total = sum(entry.bytes for entry in files)
    if total > MAX_BUNDLE_BYTES:
        raise InvalidBundle(
            f"{offer.name!r} states {total:,} bytes, more than the {MAX_BUNDLE_BYTES:,} we accept"
        )
    if _local_manifest(staging) != offer.text:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        (staging / MANIFEST_NAME).write_bytes(offer.text)
    before = 0
    for entry in files:
        path = _path(offer.name, *entry.path.split("/"))
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


def _path(name: str, *parts: str) -> str:
    return "/models/" + "/".join(segment(part) for part in (name, *parts))


def _only_student(sender: Sender) -> str:
    students = sender.run(Conversation().models(), None)
    if len(students) == 1:
        return students[0].name
    if not students:
        raise NotFound("the server hands out no student: ask its operator for one")
    names = ", ".join(student.name for student in students)
    raise InvalidRequest(f"the server hands out several students: name one of {names}")


def _manifest_text(sender: Sender, name: str, local: bytes | None) -> bytes:
    """The server's manifest; the local one when the server says it has not changed."""
    known = {} if local is None else {"If-None-Match": f'"{hashlib.sha256(local).hexdigest()}"'}
    answer = sender.send(Call("GET", _path(name, MANIFEST_NAME), headers=known), None)
    require_success(answer)
    return local if answer.status == 304 and local is not None else answer.body


def _local_manifest(directory: Path) -> bytes | None:
    path = directory / MANIFEST_NAME
    if not path.is_file() or path.stat().st_size > MAX_MANIFEST_BYTES:
        return None
    return path.read_bytes()


def _silently(_have: int, _total: int) -> None:
    """No progress was asked for."""
