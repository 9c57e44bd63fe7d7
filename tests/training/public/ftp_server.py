"""A small anonymous FTP server on loopback: what `ftplib` needs to read a file, cut or whole."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class FtpShelf:
    """files: by path.  cuts: where the next transfers break off.  sent: bytes in all.

    at_cut: what the server says of a transfer it has cut.
    """

    files: dict[str, bytes]
    cuts: list[int] = field(default_factory=list)
    sent: int = 0
    at_cut: str = "426 aborted"


class _Session(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        shelf: FtpShelf = self.server.shelf  # type: ignore[attr-defined]
        self._say("220 ready")
        rest, data = 0, None
        for line in self.rfile:
            command, _, argument = line.decode().strip().partition(" ")
            match command.upper():
                case "SIZE" | "RETR" if argument not in shelf.files:
                    self._say("550 no such file")
                case "USER":
                    self._say("331 password")
                case "SIZE":
                    self._say(f"213 {len(shelf.files[argument])}")
                case "EPSV" | "PASV":
                    data = socket.create_server(("127.0.0.1", 0))
                    data.settimeout(10)
                    self._say(self._passive(command.upper(), data.getsockname()[1]))
                case "REST":
                    rest = int(argument)
                    self._say("350 from there")
                case "RETR":
                    assert data is not None
                    self._send(shelf, shelf.files[argument][rest:], data)
                    rest = 0
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("230 fine" if command.upper() == "PASS" else "200 fine")

    def _send(self, shelf: FtpShelf, content: bytes, data: socket.socket) -> None:
        cut = shelf.cuts.pop(0) if shelf.cuts else None
        self._say("150 opening")
        connection, _ = data.accept()
        with connection, data:
            connection.sendall(content[:cut])
        shelf.sent += len(content[:cut])
        self._say("226 done" if cut is None else shelf.at_cut)

    @staticmethod
    def _passive(command: str, port: int) -> str:
        if command == "EPSV":
            return f"229 extended passive (|||{port}|)"
        return f"227 passive (127,0,0,1,{port // 256},{port % 256})"

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def on_an_ftp_server(shelf: FtpShelf) -> Iterator[str]:
    """Yield the server's address."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        server.shelf = shelf  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"ftp://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
