"""One file of a bundle, over as many connections as it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from tenacity import Retrying

from lorgnette._answers import Answer, require_success
from lorgnette._calls import Call
from lorgnette._retry import policy
from lorgnette._senders import Sender, no_answer, read_answer
from lorgnette.errors import BundleCorrupt, ServerFault
from lorgnette.manifest import BundleFile


@dataclass(frozen=True)
class Download:
    """A file on the server and where it goes. on_bytes: told how many bytes are there by now."""

    call: Call
    entry: BundleFile
    path: Path
    on_bytes: Callable[[int], None]

    def fetch(self, sender: Sender) -> None:
        """Get what is still missing; a cut connection goes on where it was, if it gained bytes.

        Raises `BundleCorrupt` as soon as more arrives than the manifest states, `Unreachable` when
        the retries without a new byte are used up; the bytes so far stay for the next run.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._size() > self.entry.bytes:
            self.path.unlink()
        most = -1
        with no_answer(sender.http, self.call):
            while self._size() < self.entry.bytes:
                most = max(most, self._size())
                try:
                    self._require_bytes(self._attempts(sender))
                except httpx.TransportError:
                    if self._size() <= most:
                        raise

    def _require_bytes(self, answer: Answer) -> None:
        require_success(answer)
        if answer.status != 200:
            raise ServerFault(
                f"{self.call.path} answered {answer.status} with other bytes than were asked for"
            )

    def _attempts(self, sender: Sender) -> Answer:
        rules = policy(max_retries=sender.connection.max_retries, is_repeatable=True)
        return Retrying(**rules)(self._attempt, sender)

    def _attempt(self, sender: Sender) -> Answer:
        have = self._size()
        timeout_s = sender.connection.timeout_s
        arguments = self.call.arguments()
        arguments["headers"] = {**arguments["headers"], **self._rest(have)}
        with sender.http.stream(**arguments, timeout=timeout_s) as response:
            resumes = _resumes_at(response.headers, have) and response.status_code == 206
            if response.status_code != 200 and not resumes:
                return read_answer(response, limit_s=timeout_s)
            self._write(response, have if resumes else 0)
            return Answer(status=200, headers={}, body=b"", url=str(response.url))

    def _rest(self, have: int) -> Mapping[str, str]:
        plain = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if not have:
            return plain
        return {**plain, "Range": f"bytes={have}-", "If-Range": f'"{self.entry.sha256}"'}

    def _write(self, response: httpx.Response, have: int) -> None:
        with self.path.open("ab" if have else "wb") as file:
            for chunk in response.iter_bytes():
                have += len(chunk)
                if have > self.entry.bytes:
                    raise BundleCorrupt(
                        f"{self.call.path} is longer than the {self.entry.bytes} bytes its "
                        "manifest states: the server's bundle is inconsistent; pull again later"
                    )
                file.write(chunk)
                self.on_bytes(have)
        if have < self.entry.bytes:
            raise httpx.RemoteProtocolError(f"ended after {have} of {self.entry.bytes} bytes")

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0


def _resumes_at(headers: httpx.Headers, have: int) -> bool:
    return str(headers.get("content-range", "")).startswith(f"bytes {have}-")
