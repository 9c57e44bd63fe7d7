"""One student on this device: opened offline, updated behind the application, taken back.

    store = ModelStore("https://photos.example", "models/student")
    started = store.local_then_update()
    with Client("https://photos.example", encoder=started.encoder, store=store) as client: ...

`local`, `local_then_update` and `latest` are three answers to one question: whether a start may
wait for the network.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import httpx

from lorgnette._senders import Connection, Sender
from lorgnette.bundle import Bundle, read_manifest
from lorgnette.durable import exclusively, replace_file, sibling
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidBundle, NotFound, Unreachable
from lorgnette.manifest import Manifest
from lorgnette.models.offer import Offer, local_manifest, verify_held
from lorgnette.models.places import kept, recover, swap
from lorgnette.models.signing import check_public_keys
from lorgnette.pull import IsWanted, OnProgress, refresh, silently, writing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Held:
    """What the device holds, without a question to the server."""

    active: Manifest | None
    previous: Manifest | None


@dataclass(frozen=True)
class Started:
    """An encoder at once. update: the newer one once it is in place; None when there is none."""

    encoder: Encoder
    update: Future[Encoder | None]


class ModelStore:
    """Keeps one student in a directory. Any number of processes may share it; thread-safe.

    name: which student, needed when the server hands out several. public_keys: base64 Ed25519;
    given, what none of them signed is refused, also when it lies here already.
    After any error what is held is what was held before.
    """

    def __init__(
        self,
        base_url: str,
        directory: Path | str,
        *,
        name: str | None = None,
        key: str | None = None,
        public_keys: Sequence[str] = (),
        timeout_s: float = 30.0,
        max_retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(base_url, key, timeout_s, max_retries)
        self._target = Path(directory).resolve()
        self._name = name
        check_public_keys(public_keys)
        self._keys = tuple(public_keys)
        self._transport = transport

    def held(self) -> Held:
        """The manifests in use and kept; not verified."""
        return Held(active=_manifest(self._target), previous=_manifest(kept(self._target)))

    def local(self) -> Encoder:
        """The one that is held, verified, without the network. Raises `NotFound` for none."""
        try:
            return self._open(self._target)
        except (InvalidBundle, FileNotFoundError):
            # Another process may be changing it, or have died doing so: look again, alone.
            if not self._target.parent.exists():
                raise self._nothing() from None
        with writing(self._target), exclusively(self._target):
            recover(self._target)
            if local_manifest(self._target) is None:
                raise self._nothing()
            return self._open(self._target)

    def latest(self, *, name: str | None = None, on_progress: OnProgress | None = None) -> Encoder:
        """The server's newest that is released to this device. Raises `Unreachable` offline.

        name: another student than the store's, such as the one a `SpaceMismatch` names.
        """
        self._refresh(name or self._name, self._is_released, on_progress)
        return self.local()

    def local_then_update(self, *, on_progress: OnProgress | None = None) -> Started:
        """The held one at once (else the newest), and the newest behind it: starts offline.

        The update never raises for a server that cannot be reached, and never brings back a
        student that was rolled back; any other error is the future's.
        """
        update: Future[Encoder | None] = Future()
        try:
            encoder = self.local()
        except (NotFound, InvalidBundle):
            encoder = self.latest(on_progress=on_progress)
            update.set_result(None)
            return Started(encoder, update)
        worker = threading.Thread(
            target=self._update, args=(update, on_progress), name="lorgnette-update", daemon=True
        )
        worker.start()
        return Started(encoder, update)

    def rollback(self) -> Encoder:
        """Put the previous one back in use and keep the other. Raises `NotFound` for none.

        `local_then_update` does not bring the other back by itself; `latest` does.
        """
        with writing(self._target), exclusively(self._target):
            recover(self._target)
            if local_manifest(kept(self._target)) is None:
                raise NotFound(f"no earlier student is kept beside {self._target}: pull one")
            self._open(kept(self._target))
            refused = hashlib.sha256(local_manifest(self._target) or b"").hexdigest()
            replace_file(sibling(self._target, "refused"), refused.encode())
            swap(self._target)
            log.info("rolled back", extra={"refused": refused})
            return self._open(self._target)

    def _open(self, directory: Path) -> Encoder:
        verify_held(directory, self._keys)
        encoder = Encoder(Bundle.open(directory))
        # Now, while these are still the files of this model.
        encoder.check()
        return encoder

    def _refresh(
        self, name: str | None, is_wanted: IsWanted, on_progress: OnProgress | None
    ) -> Bundle | None:
        sender = Sender(self._connection, self._transport)
        with sender.http:
            return refresh(
                sender,
                name,
                self._target,
                on_progress or silently,
                keys=self._keys,
                is_wanted=is_wanted,
            )

    def _update(self, update: Future[Encoder | None], on_progress: OnProgress | None) -> None:
        before = local_manifest(self._target)
        try:
            found = self._refresh(self._name, self._is_news, on_progress)
            is_new = found is not None and local_manifest(self._target) != before
            update.set_result(self.local() if is_new else None)
        except Unreachable as error:
            log.info("no update", extra={"why": str(error)})
            update.set_result(None)
        except Exception as error:  # noqa: BLE001 (the future carries it)
            update.set_exception(error)

    def _is_released(self, offer: Offer) -> bool:
        active = _manifest(self._target)
        if offer.release is None or active is None or active.space != offer.manifest.space:
            return True
        return offer.release.is_for(self._device_id())

    def _is_news(self, offer: Offer) -> bool:
        refused = sibling(self._target, "refused")
        if refused.is_file() and refused.read_text(encoding="ascii") == offer.sha256:
            return False
        return self._is_released(offer)

    def _device_id(self) -> str:
        """Drawn once and kept here; it leaves this device in no request."""
        path = sibling(self._target, "device")
        if not path.is_file():
            replace_file(path, uuid.uuid4().hex.encode())
        return path.read_text(encoding="ascii")

    def _nothing(self) -> NotFound:
        return NotFound(f"{self._target} holds no student yet: fetch one while online")


def _manifest(directory: Path) -> Manifest | None:
    try:
        return read_manifest(directory)
    except InvalidBundle:
        return None
