"""Bearer keys and the two doors they open; without keys, who may speak to a local service."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lorgnette.errors import Forbidden, Unauthorized
from service.api.problems import problem_response
from service.settings import Settings

Door = Literal["search", "admin"]


@dataclass(frozen=True)
class Keys:
    """The sha256 of each configured key. The admin key also opens the search door.

    With no key at all every door is open, which `Settings` allows on loopback only. With one key
    alone the other door stays shut.
    """

    search: bytes | None
    admin: bytes | None

    @classmethod
    def of(cls, settings: Settings) -> Keys:
        """The keys of the settings, hashed."""
        return cls(search=_digest(settings.search_key), admin=_digest(settings.admin_key))

    def check(self, token: str | None, door: Door) -> None:
        """Raise `Unauthorized` for no or an unknown key, `Forbidden` for one of another door.

        Both comparisons always run, in constant time, so that timing tells nothing.
        """
        if self.search is None and self.admin is None:
            return
        if token is None:
            raise Unauthorized("this server needs a key: send `Authorization: Bearer <key>`")
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        is_search = hmac.compare_digest(digest, self.search or b"")
        is_admin = hmac.compare_digest(digest, self.admin or b"")
        if not (is_search or is_admin):
            raise Unauthorized("the server does not know this key: ask its keeper for one")
        if door == "admin" and not is_admin:
            raise Forbidden("this key opens the search only: administration needs the admin key")


def _digest(key: SecretStr | None) -> bytes | None:
    return None if key is None else hashlib.sha256(key.get_secret_value().encode()).digest()


class LocalNamesOnly:
    """ASGI middleware of a keyless service: refuses a `Host` that is not this machine's name.

    A web page can point its own host name at 127.0.0.1 (DNS rebinding) and then read the answers;
    its requests still carry that name.
    """

    def __init__(self, app: ASGIApp, *, host: str) -> None:
        self._app = app
        self._names = frozenset({"localhost", "127.0.0.1", "::1", host.lower()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http":
            name = _host_name(Headers(scope=scope).get("host", ""))
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
