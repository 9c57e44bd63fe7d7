"""The socket of a service, before anything heavy is loaded."""

from __future__ import annotations

import errno
import socket

from lorgnette.errors import InvalidConfiguration

BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `InvalidConfiguration` when it cannot be had.

    It listens before anything is loaded: a bound socket alone does not keep a second server off.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InvalidConfiguration(
            f"{host!r} is not an address of this machine ({error.strerror}): use another --host"
        ) from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise InvalidConfiguration(_why_not(error, host=host, port=port)) from error
    return bound


def _why_not(error: OSError, *, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use, perhaps by another lorgnette: "
            "stop that one, or choose another --port"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges this user lacks: choose a --port above 1023"
    return f"cannot listen on {host}:{port} ({error.strerror}): choose another --host or --port"


def url_of(bound: socket.socket) -> str:
    """The URL a browser on this machine would use for a bound socket."""
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
