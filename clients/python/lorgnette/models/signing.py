"""Ed25519 signatures of a bundle's documents: who made them, which a sha256 cannot say.

A signature is detached: `manifest.json.sig` holds base64 of the 64 bytes that RFC 8032 makes of
`manifest.json`, byte for byte. A public key is base64 of its 32 bytes, a private key of its seed.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lorgnette.errors import InvalidConfiguration, InvalidSignature, MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNATURE_SUFFIX = ".sig"
SIGNATURE_BYTES, KEY_BYTES = 64, 32


def verify(document: bytes, signature: bytes | None, keys: Sequence[str], *, origin: str) -> None:
    """Accept a document that one of the public keys signed; without keys, accept any.

    signature: the content of the `.sig` file, None when there is none.
    Raises `InvalidSignature` naming `origin`, `InvalidConfiguration` for a malformed key.
    """
    if not keys:
        return
    public = [_public(key) for key in keys]
    if signature is None:
        raise InvalidSignature(
            f"{origin} is not signed, and this device takes only what its public keys signed: "
            "nothing was changed; let the operator run `lorgnette sign`"
        )
    raw = _decoded(signature)
    if raw is None or not any(_signed(key, raw, document) for key in public):
        raise InvalidSignature(
            f"{origin} was signed by none of the {len(public)} configured public keys: "
            "nothing was changed; ask the operator which key signs now"
        )


def check_public_keys(keys: Sequence[str]) -> None:
    """Before anything is asked for. Raises `InvalidConfiguration` for a malformed key."""
    for key in keys:
        _public(key)


def new_key(path: Path) -> str:
    """Write a new private key, readable by its owner alone; return its public key.

    Raises `InvalidConfiguration` when the file exists or cannot be written.
    """
    private: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.generate()
    seed = base64.b64encode(private.private_bytes_raw()) + b"\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(seed)
        except OSError:
            # An empty file would be in the way of the next try.
            path.unlink(missing_ok=True)
            raise
    except FileExistsError as error:
        raise InvalidConfiguration(
            f"{path} exists: a key is never overwritten; name a new file"
        ) from error
    except OSError as error:
        raise InvalidConfiguration(f"cannot write {path}: {error.strerror}") from error
    return public_key(private)


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a file. Raises `InvalidConfiguration`."""
    try:
        raw = _decoded(path.read_bytes())
    except OSError as error:
        raise InvalidConfiguration(f"cannot read the key {path}: {error.strerror}") from error
    if raw is None or len(raw) != KEY_BYTES:
        raise InvalidConfiguration(
            f"{path} is not a private key of ours: make one with `lorgnette sign --new-key FILE`"
        )
    private: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.from_private_bytes(raw)
    return private


def public_key(private: Ed25519PrivateKey) -> str:
    """What devices are configured with."""
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def sign(document: bytes, private: Ed25519PrivateKey) -> bytes:
    """The content of the `.sig` file."""
    return base64.b64encode(private.sign(document)) + b"\n"


def _signed(key: Ed25519PublicKey, signature: bytes, document: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature as Refused

    try:
        key.verify(signature, document)
    except Refused:
        return False
    return True


def _public(key: str) -> Ed25519PublicKey:
    raw = _decoded(key.encode())
    if raw is None or len(raw) != KEY_BYTES:
        raise InvalidConfiguration(
            f"{key!r} is not an Ed25519 public key: expected base64 of {KEY_BYTES} bytes"
        )
    public: Ed25519PublicKey = _ed25519().Ed25519PublicKey.from_public_bytes(raw)
    return public


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


def _ed25519() -> ModuleType:
    try:
        return import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "signatures need a library that is not installed: pip install 'lorgnette[signatures]'"
        ) from error
