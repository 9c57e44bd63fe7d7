"""Opening a published file over HTTP or FTP, from its beginning or from where one left off."""

from __future__ import annotations

import ftplib  # Some sets are published on an anonymous FTP server.
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import httpx

from lorgnette.errors import InvalidConfiguration, NotFound, RefusedByServer

CHUNK_BYTES = 1024**2
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_FTP_TIMEOUT_S = 60.0


class Dropped(Exception):
    """The connection ended, or the server is overloaded: worth another attempt."""


class Stale(Exception):
    """The server cannot go on from there: begin anew."""


@dataclass(frozen=True)
class Have:
    """What is here of a file.  validator: that of the `Opened` these bytes came from."""

    size_bytes: int
    validator: str


@dataclass(frozen=True)
class Opened:
    """A file on its way.

    start: how many bytes come before the first chunk.  total: bytes of the whole file, None if the
    server does not say.  validator: what tells the same file later; "" if nothing can.
    """

    start: int
    total: int | None
    validator: str
    chunks: Iterator[bytes]


def opened(url: str, have: Have, http: httpx.Client) -> AbstractContextManager[Opened]:
    """The rest of a file; all of it when the server cannot go on or has another file by now.

    Entering or reading it raises `Dropped` or `Stale`, `NotFound` or `RefusedByServer` when the
    server has no such file, `InvalidConfiguration` when the address is none.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        return _over_http(url, have, http)
    if scheme == "ftp":
        return _over_ftp(url, have)
    raise InvalidConfiguration(f"{url!r} is not an address: expected http://, https:// or ftp://")


@contextmanager
def _over_http(url: str, have: Have, http: httpx.Client) -> Iterator[Opened]:
    headers = {"Accept-Encoding": "identity"}
    # Without If-Range the rest of another file would be put after the beginning of this one.
    if have.size_bytes and have.validator:
        headers |= {"Range": f"bytes={have.size_bytes}-", "If-Range": have.validator}
    try:
        with http.stream("GET", url, headers=headers) as response:
            _require_success(response, url)
            start = have.size_bytes if response.status_code == 206 else 0
            # A length, and a place to go on from, are of the bytes as they travel.
            if response.headers.get("content-encoding", "identity") != "identity":
                yield Opened(start, None, "", response.iter_bytes())
            else:
                total, validator = _total(response, have), _validator(response.headers)
                yield Opened(start, total, validator, response.iter_bytes())
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise InvalidConfiguration(f"{url} does not lead to a file: {error}") from error
    except httpx.TransportError as error:
        raise Dropped(str(error) or type(error).__name__) from error


def _require_success(response: httpx.Response, url: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status == 416:
        raise Stale
    if status in _RETRIED:
        raise Dropped(f"answered {status}")
    kind = NotFound if status in (404, 410) else RefusedByServer
    raise kind(f"{url} answered {status}")


def _total(response: httpx.Response, have: Have) -> int | None:
    if response.status_code == 206:
        said = response.headers.get("content-range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", said)
        if match is None or int(match[1]) != have.size_bytes:
            raise Stale
        return int(match[2])
    length = response.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _validator(headers: Mapping[str, str]) -> str:
    """What If-Range may carry: a strong ETag, else the date of the last change (RFC 9110)."""
    tag = headers.get("etag", "")
    return tag if tag.startswith('"') else headers.get("last-modified", "")


@contextmanager
def _over_ftp(url: str, have: Have) -> Iterator[Opened]:
    parts = urlsplit(url)
    try:
        with ftplib.FTP(timeout=_FTP_TIMEOUT_S) as ftp:  # noqa: S321  # Public files, checked after.
            ftp.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
            ftp.login()
            ftp.voidcmd("TYPE I")
            path = unquote(parts.path).lstrip("/")
            total = ftp.size(path)
            validator = f"size {total}"
            start = have.size_bytes if have.validator == validator else 0
            with closing(ftp.transfercmd(f"RETR {path}", rest=start or None)) as data:
                yield Opened(start, total, validator, iter(lambda: data.recv(CHUNK_BYTES), b""))
    except ftplib.error_perm as error:
        raise NotFound(f"{url} is refused: {error}") from error
    except (*ftplib.all_errors,) as error:
        raise Dropped(str(error) or type(error).__name__) from error
