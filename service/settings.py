"""What the service can be told, from arguments, `LORGNETTE_*` variables and a secrets folder.

Nothing is read at import: `load_settings` is called by the command line only.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lorgnette._faults import first_fault
from lorgnette.errors import InvalidConfiguration
from lorgnette.image import MAX_PIXELS
from service import defaults
from service.keys import KeyFile

ENV_PREFIX = "LORGNETTE_"
SECRETS_DIR_VARIABLE = "LORGNETTE_SECRETS_DIR"
_DEFAULT_SECRETS_DIR = Path("/run/secrets")
_MIN_KEY_CHARS = 16


Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]+)?$")]
"""A web page's origin, as its browser states it; "*" is none."""


class Settings(BaseSettings):
    """Everything one server process is configured with. Frozen; unknown names are refused.

    The three keys may also be files of the secrets folder, such as `lorgnette_search_key`; others
    are made with `lorgnette keys create`. Without any key the service listens on this machine
    only. factory: None keeps the live index's, at first "auto". rate_per_s, rate_burst: requests
    of one key, None is no limit. cors_origins: whose web pages may search; none by default.
    workers: processes that answer, sharing one mapped index. drain_s: how long after SIGTERM to
    go on answering, with 503, so that load balancers notice. monitor_share: of the photographs in
    `/search/image`, which the teacher embeds too.
    calibration_queries: so many first ones tell later ones' drift; 0 tells none. otlp_endpoint:
    the OpenTelemetry collector that gets a span a request. page: the built web page shown at `/`;
    page_isolated: whether its browser may run WebAssembly in threads, which shuts it to pages of
    other origins that would open it.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        # An empty variable, as compose files write for "not given", is not a value.
        env_ignore_empty=True,
    )

    data: Path = defaults.DATA
    teacher: Path = defaults.TEACHER
    students: Annotated[tuple[Path, ...], NoDecode] = (defaults.STUDENT,)
    page: Path = defaults.PAGE
    page_isolated: bool = True
    host: str = defaults.HOST
    port: Annotated[int, Field(ge=0, le=65535)] = defaults.PORT
    search_key: SecretStr | None = None
    metrics_key: SecretStr | None = None
    admin_key: SecretStr | None = None
    rate_per_s: Annotated[float, Field(gt=0)] | None = None
    rate_burst: Annotated[int, Field(ge=1)] = 20
    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    max_k: Annotated[int, Field(ge=1, le=100_000)] = 1000
    max_batch: Annotated[int, Field(ge=1, le=65_536)] = 256
    max_body_bytes: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    max_image_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    max_pixels: Annotated[int, Field(ge=1)] = MAX_PIXELS
    factory: str | None = None
    recall_gate: Annotated[float, Field(ge=0, le=1)] = defaults.RECALL_GATE
    search_threads: Annotated[int, Field(ge=1, le=1024)] = Field(
        default_factory=lambda: os.cpu_count() or 1
    )
    encode_threads: Annotated[int, Field(ge=1, le=1024)] = 1
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    drain_s: Annotated[float, Field(ge=0, le=300)] = 0.0
    monitor_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+/?$")] | None = None
    calibration_queries: Annotated[int, Field(ge=0, le=1_000_000)] = 500

    @field_validator("students", "cors_origins", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        """`LORGNETTE_STUDENTS=models/a,models/b`."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("search_key", "metrics_key", "admin_key")
    @classmethod
    def _is_a_fit_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is None:
            return None
        text = key.get_secret_value()
        if len(text) < _MIN_KEY_CHARS or not (text.isascii() and text.isprintable()) or " " in text:
            raise ValueError(
                f"a key needs at least {_MIN_KEY_CHARS} printable ASCII characters without "
                "spaces: make one with `openssl rand -hex 32`"
            )
        return key

    @model_validator(mode="after")
    def _keys_guard_what_listens(self) -> Self:
        given = [key for key in (self.search_key, self.metrics_key, self.admin_key) if key]
        if len(set(given)) < len(given):
            raise ValueError(
                "two of search_key, metrics_key and admin_key are the same, so that one key would "
                "open more than it should: make different ones"
            )
        has_both = self.search_key is not None and self.admin_key is not None
        if not is_loopback(self.host) and not has_both and not self._has_key_file():
            raise ValueError(
                f"refusing to listen on {self.host!r}, which other machines reach, without keys: "
                f"set {ENV_PREFIX}SEARCH_KEY and {ENV_PREFIX}ADMIN_KEY, make some with "
                "`lorgnette keys create`, or use --host 127.0.0.1"
            )
        return self

    @field_validator("page")
    @classmethod
    def _is_built(cls, page: Path) -> Path:
        # The default need not be built: then the service says how to.
        if page != defaults.PAGE and not (page / defaults.PAGE_INDEX).is_file():
            raise ValueError(
                f"{page} is no built page, it holds no {defaults.PAGE_INDEX}: run `npm ci && npm "
                "run build` in clients/page and name its dist folder, or leave the setting out"
            )
        return page

    def _has_key_file(self) -> bool:
        return bool(KeyFile(self.data).records())

    @property
    def is_keyless(self) -> bool:
        """Whether everybody on this machine may do everything."""
        keys = (self.search_key, self.metrics_key, self.admin_key)
        return not any(keys) and not self._has_key_file()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to `host`; a name is, only `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(**given: object) -> Settings:
    """Settings from `given` (None is "not given"), else the environment, secrets, the defaults.

    Raises `InvalidConfiguration` with one sentence, which never holds a secret.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(_secrets_dir=_secrets_dir(), **chosen)  # type: ignore[call-arg, arg-type]
    except ValidationError as error:
        name, why = first_fault(error)
        where = f"setting {name} ({ENV_PREFIX}{name.upper()}): " if name else ""
        raise InvalidConfiguration(where + why) from None


def _secrets_dir() -> Path | None:
    named = os.environ.get(SECRETS_DIR_VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise InvalidConfiguration(
                f"{SECRETS_DIR_VARIABLE} names {named!r}, which is no folder: correct or unset it"
            )
        return Path(named)
    return _DEFAULT_SECRETS_DIR if _DEFAULT_SECRETS_DIR.is_dir() else None
