"""API keys as a file of the data directory, made and revoked while the service runs.

    keys.json    of each key: id, name, scopes, times, and the sha256 of its text; never the text

It is sealed (`gallery/sealed.py`), so that no changed date revives a key.

It lies beside the catalogue, not in it: restoring an old gallery must not revive a revoked key.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import re
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lorgnette import durable
from lorgnette.errors import InvalidGallery, NotFound
from lorgnette.manifest import Sha256
from service.gallery.files import disk_errors
from service.gallery.sealed import BrokenSeal, seal, unseal
from service.scopes import Scope

log = logging.getLogger(__name__)

KEYS_NAME = "keys.json"
LOCK_NAME = "keys.lock"

_PREFIX = "lgn"
_TOKEN = re.compile(rf"{_PREFIX}_([0-9a-f]{{8}})_[0-9a-f]{{64}}")


class KeyRecord(BaseModel):
    """One key. sha256: of its whole text; revoked ones stay listed, so that a log can be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]
    sha256: Sha256
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    revoked_at: AwareDatetime | None

    def state(self, moment: datetime) -> Literal["live", "expired", "revoked"]:
        """Whether it opens anything at this moment, and if not, why."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= moment:
            return "expired"
        return "live"


class _Keys(BaseModel):
    """`keys.json`. An older lorgnette wrote the bare list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[KeyRecord, ...]


_OLDER = TypeAdapter(tuple[KeyRecord, ...])


def _read(content: bytes) -> tuple[KeyRecord, ...]:
    """Raises `ValidationError`, `BrokenSeal`."""
    if content.lstrip().startswith(b"["):
        return _OLDER.validate_json(content)
    return _Keys.model_validate_json(unseal(content)).keys


def digest_of(token: str) -> str:
    """The sha256 a key is stored as. A key is 256 random bits: nothing slower is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def id_in(token: str) -> str:
    """The id a key's text names; empty for text of another shape."""
    match = _TOKEN.fullmatch(token)
    return match.group(1) if match else ""


class KeyFile:
    """`keys.json` of a data directory; whoever reads it sees every change at once."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._path = data / KEYS_NAME
        self._seen: tuple[int, int, int] | None = None
        self._records: Mapping[str, KeyRecord] = {}

    def records(self) -> Mapping[str, KeyRecord]:
        """Every key by id, in order of making; read again only when the file changed.

        Raises `InvalidGallery` for a file that cannot be read: then no key is known good.
        """
        path = self._path
        try:
            found = path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._seen:
                _warn_of_writers(path, found.st_mode)
                self._records = {record.id: record for record in _read(path.read_bytes())}
                self._seen = stamp
        except (FileNotFoundError, NotADirectoryError):
            self._records, self._seen = {}, None
        except OSError as error:
            raise InvalidGallery(
                f"{path} cannot be read ({error.strerror}): check its owner and permissions"
            ) from error
        except (ValidationError, BrokenSeal) as error:
            raise InvalidGallery(
                f"{path} is damaged (not a list of keys): restore it from a copy, or delete it and "
                "make new keys with `lorgnette keys create`"
            ) from error
        return self._records

    def create(self, name: str, *, scopes: Collection[Scope], expires_at: datetime | None) -> str:
        """Make a key and return its text, which is stored nowhere and cannot be shown again."""
        key_id = secrets.token_hex(4)
        token = f"{_PREFIX}_{key_id}_{secrets.token_hex(32)}"
        record = KeyRecord(
            id=key_id,
            name=name,
            scopes=frozenset(scopes),
            sha256=digest_of(token),
            created_at=_now(),
            expires_at=expires_at,
            revoked_at=None,
        )
        with self._changing() as records:
            records[key_id] = record
        return token

    def revoke(self, key_id: str) -> KeyRecord:
        """Shut a key out from now on; once revoked it stays so. Raises `NotFound`."""
        with self._changing() as records:
            record = records.get(key_id)
            if record is None:
                raise NotFound(f"there is no key {key_id!r}: `lorgnette keys list` names them")
            if record.revoked_at is None:
                record = record.model_copy(update={"revoked_at": _now()})
            records[key_id] = record
        return record

    @contextmanager
    def _changing(self) -> Iterator[dict[str, KeyRecord]]:
        """The records to change: one changer at a time, replaced whole when the block is left."""
        with disk_errors(self._data):
            self._data.mkdir(parents=True, exist_ok=True)
            lock = (self._data / LOCK_NAME).open("a")
        with lock:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
            records = dict(self.records())
            yield records
            content = seal(_Keys(keys=tuple(records.values())).model_dump_json())
            with disk_errors(self._data):
                durable.replace_file(self._path, content)


def _warn_of_writers(path: Path, mode: int) -> None:
    # Not refused: mounts of other systems show every file so, and no key would be left.
    if mode & stat.S_IWOTH:
        log.warning(
            f"anybody on this machine can write {path}, and so make a key: chmod o-w it",
        )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
