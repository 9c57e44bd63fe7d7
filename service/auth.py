"""Bearer keys and the doors they open; without keys, who may speak to a local service."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from lorgnette.errors import Forbidden, Unauthorized
from service.api.problems import problem_response
from service.headers import header_of
from service.keys import KeyFile, KeyRecord, digest_of, id_in
from service.scopes import Scope
from service.settings import Settings, is_loopback

LOCAL = "local"
"""Who asks a service without keys."""

_CONFIGURED: dict[str, frozenset[Scope]] = {
    "search_key": frozenset({Scope.SEARCH, Scope.MODELS}),
    "metrics_key": frozenset({Scope.METRICS}),
    "admin_key": frozenset({Scope.ADMIN}),
}
_NOTHING = digest_of("")


class Keys:
    """The keys of the settings, and those of the data directory's key file.

    With no key at all every door is open, on loopback only. From the first key on, be it made
    while the service runs, the doors it does not open stay shut, also when it is gone again.
    """

    def __init__(self, settings: Settings) -> None:
        secrets: dict[str, SecretStr | None] = {
            "search_key": settings.search_key,
            "metrics_key": settings.metrics_key,
            "admin_key": settings.admin_key,
        }
        self._configured = {
            name: digest_of(key.get_secret_value()) for name, key in secrets.items() if key
        }
        self._file = KeyFile(settings.data)
        self._is_guarded = bool(self._configured) or not is_loopback(settings.host)

    def check(self, token: str | None, *accepted: Scope) -> str:
        """The id of the key, for the log. It needs one of the accepted scopes, or admin.

        Raises `Unauthorized` for no key, an unknown, expired or revoked one, `Forbidden` for one
        of another door. Keys are compared by their hashes, in constant time: timing tells nothing.
        """
        digest = digest_of(token or "")
        matching = [
            name for name, known in self._configured.items() if hmac.compare_digest(digest, known)
        ]
        if matching:
            key_id, scopes = matching[0], _CONFIGURED[matching[0]]
        else:
            record = self._recorded(token, digest=digest)
            if record is None:
                return LOCAL
            key_id, scopes = record.id, record.scopes
        if scopes.isdisjoint({*accepted, Scope.ADMIN}):
            raise Forbidden(
                f"this key opens {', '.join(sorted(scopes))} only: this needs one for "
                f"{' or '.join(accepted)}"
            )
        return key_id

    def _recorded(self, token: str | None, *, digest: str) -> KeyRecord | None:
        """The living key of the file; None where no key is needed."""
        records = self._file.records()
        self._is_guarded = self._is_guarded or bool(records)
        if not self._is_guarded:
            return None
        if token is None:
            raise Unauthorized("this server needs a key: send `Authorization: Bearer <key>`")
        record = records.get(id_in(token))
        is_same = hmac.compare_digest(digest, record.sha256 if record else _NOTHING)
        if record is None or not is_same:
            raise Unauthorized("the server does not know this key: ask its keeper for one")
        state = record.state(datetime.now(UTC))
        if state != "live":
            raise Unauthorized(f"this key is {state}: ask the server's keeper for a new one")
        return record


class LocalNamesOnly:
    """ASGI middleware of a keyless service: refuses a `Host` that is not this machine's name.

    A web page can point its own host name at 127.0.0.1 (DNS rebinding) and then read the answers;
    its requests still carry that name.
    """

    def __init__(self, app: ASGIApp, *, host: str) -> None:
        self._app = app
        self._names = frozenset({"localhost", "127.0.0.1", "::1", host.lower()})

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http":
            name = _host_name(header_of(scope, b"host"))
            if name not in self._names:
                refusal = Forbidden(
                    "a service without keys answers to localhost only, not to the Host name of "
                    "this request: use http://127.0.0.1, or start the service with keys"
                )
                await problem_response(scope, refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _host_name(header: str) -> str:
    """`[::1]:8080` → `::1`, `LocalHost:80` → `localhost`."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.rpartition(":")[0].lower() if ":" in header else header.lower()
