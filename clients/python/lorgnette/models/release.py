"""`release.json`: who may have a bundle now, which changes while the bundle does not.

It lies beside the manifest and not inside it: widening a rollout must not make another manifest,
which every device would take for another model. It names its manifest by sha256, so that the
release of one student says nothing about the next.
"""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import version
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorgnette._faults import first_fault
from lorgnette.errors import InvalidBundle, SdkTooOld
from lorgnette.manifest import Sha256

RELEASE_NAME = "release.json"
MAX_RELEASE_BYTES = 64 * 1024
_BUCKETS = 100


class Release(BaseModel):
    """The document. min_sdk: `major.minor.patch`. rollout_percent: share of the devices."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1]
    manifest_sha256: Sha256
    min_sdk: Annotated[str, Field(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")]
    rollout_percent: Annotated[int, Field(ge=0, le=100)]

    @classmethod
    def parse(cls, text: bytes, *, manifest_sha256: str, origin: str) -> Self:
        """Validate a document. Raises `InvalidBundle`, also for another manifest's release."""
        if len(text) > MAX_RELEASE_BYTES:
            raise InvalidBundle(f"{origin} is longer than {MAX_RELEASE_BYTES} bytes: no release")
        try:
            release = cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidBundle(f"{origin} does not validate at {first_fault(error)}") from error
        if release.manifest_sha256 != manifest_sha256:
            raise InvalidBundle(
                f"{origin} is the release of another manifest: let the operator run "
                "`lorgnette release` on the bundle that is served"
            )
        return release

    def dump(self) -> bytes:
        """The text that is written, signed and served."""
        return (self.model_dump_json(indent=2) + "\n").encode()

    def require_sdk(self, have: str) -> None:
        """Raise `SdkTooOld` when `have`, this SDK's version, is below `min_sdk`."""
        if _ordered(have) < _ordered(self.min_sdk):
            raise SdkTooOld(
                f"the server's student needs lorgnette {self.min_sdk} or newer and this is "
                f"{have}: the student held here goes on; update the SDK to have the new one"
            )

    def is_for(self, device_id: str) -> bool:
        """Whether the rollout has reached a device. The id is hashed here and never sent.

        The bucket is salted with the manifest, so that it is not always the same devices that
        come first, and a wider rollout keeps everyone who was in the narrower one.
        """
        digest = hashlib.sha256(f"{self.manifest_sha256}:{device_id}".encode()).hexdigest()
        return int(digest[:8], 16) % _BUCKETS < self.rollout_percent


def sdk_version() -> str:
    """Of the installed distribution."""
    return version("lorgnette")


def _ordered(text: str) -> tuple[int, int, int]:
    """The first three numbers of a version; a suffix such as `rc1` counts as the version itself."""
    found = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
    major, minor, patch = found.groups(default="0") if found else ("0", "0", "0")
    return int(major), int(minor), int(patch)
