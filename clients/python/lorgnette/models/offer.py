"""What the server has under a student's name: manifest, signature and release, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorgnette._answers import require_success
from lorgnette._calls import Call, Conversation, segment
from lorgnette._senders import Sender
from lorgnette.bundle import MANIFEST_NAME, MAX_MANIFEST_BYTES, parse_manifest
from lorgnette.errors import InvalidRequest, InvalidSignature, NotFound
from lorgnette.manifest import Manifest
from lorgnette.models.release import RELEASE_NAME, Release, sdk_version
from lorgnette.models.signing import SIGNATURE_SUFFIX, verify

SIGNATURE_NAME = MANIFEST_NAME + SIGNATURE_SUFFIX


@dataclass(frozen=True)
class Offer:
    """text: the manifest's own bytes. signature: of them. release: None is for everybody."""

    name: str
    text: bytes
    manifest: Manifest
    signature: bytes | None
    release: Release | None

    @property
    def sha256(self) -> str:
        """Of the manifest's bytes."""
        return hashlib.sha256(self.text).hexdigest()


def fetch_offer(sender: Sender, name: str, target: Path, keys: Sequence[str]) -> Offer:
    """Ask for the manifest, and for the rest only when it is not the one that is held.

    Raises `InvalidSignature`, `SdkTooOld`, another `InvalidBundle`, `NotFound`, `Unreachable`.
    """
    local = local_manifest(target)
    text = _manifest_text(sender, name, local)
    origin = f"the manifest of {name!r}"
    if text == local:
        signature = _held_signature(sender, name, target, text, keys)
        return Offer(name, text, parse_manifest(text, origin=origin), signature, None)
    signature = _optional(sender, name, "manifest.sig") if keys else None
    verify(text, signature, keys, origin=origin)
    manifest = parse_manifest(text, origin=origin)
    release = _release(sender, name, text, keys)
    if release is not None:
        release.require_sdk(sdk_version())
    return Offer(name, text, manifest, signature, release)


def verify_held(target: Path, keys: Sequence[str]) -> None:
    """Check the signature kept beside a bundle here. Raises `InvalidSignature`."""
    text = local_manifest(target)
    if text is not None:
        verify(text, _read(target / SIGNATURE_NAME), keys, origin=str(target / MANIFEST_NAME))


def local_manifest(directory: Path) -> bytes | None:
    """The bytes of a directory's manifest, if there is one."""
    path = directory / MANIFEST_NAME
    if not path.is_file() or path.stat().st_size > MAX_MANIFEST_BYTES:
        return None
    return path.read_bytes()


def path_of(name: str, *parts: str) -> str:
    """The path of something of a student on the server."""
    return "/models/" + "/".join(segment(part) for part in (name, *parts))


def only_student(sender: Sender) -> str:
    """The name of the server's only student. Raises `NotFound`, `InvalidRequest` for several."""
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
    answer = sender.send(Call("GET", path_of(name, MANIFEST_NAME), headers=known), None)
    require_success(answer)
    return local if answer.status == 304 and local is not None else answer.body


def _held_signature(
    sender: Sender, name: str, target: Path, text: bytes, keys: Sequence[str]
) -> bytes | None:
    """The one held; fetched anew when the keys, or the signature, came after the bundle."""
    held = _read(target / SIGNATURE_NAME)
    origin = f"the manifest of {name!r}"
    try:
        verify(text, held, keys, origin=origin)
    except InvalidSignature:
        held = _optional(sender, name, "manifest.sig")
        verify(text, held, keys, origin=origin)
    return held


def _release(sender: Sender, name: str, text: bytes, keys: Sequence[str]) -> Release | None:
    document = _optional(sender, name, RELEASE_NAME)
    if document is None:
        return None
    origin = f"the release of {name!r}"
    signature = _optional(sender, name, "release.sig") if keys else None
    verify(document, signature, keys, origin=origin)
    digest = hashlib.sha256(text).hexdigest()
    return Release.parse(document, manifest_sha256=digest, origin=origin)


def _optional(sender: Sender, name: str, what: str) -> bytes | None:
    answer = sender.send(Call("GET", path_of(name, what)), None)
    try:
        require_success(answer)
    except NotFound:
        return None
    return answer.body


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
