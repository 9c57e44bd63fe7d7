"""A gallery of given vectors, and the real service over it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import ROOT, Rows
from lorgnette.manifest import Space
from service.gallery.catalogue import Catalogue
from service.gallery.publish import publish
from service.gallery.records import NewItem, Stamp
from tests.tiny_bundle import write_tiny_bundle

_ALONE = "import service.app, lorgnette.cli; service.app._GATHERED = 1; lorgnette.cli.main()"
"""The service without batches: every search goes to FAISS alone."""


class Served(NamedTuple):
    """A running service: where it answers, and its process."""

    url: str
    pid: int

    def processor_s(self) -> float:
        """The processor time it took so far, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def filled(folder: Path, rows: Rows, *, factory: str, gate: float = 0.95) -> Space:
    """Write the rows as items of a gallery, with a little metadata, and publish them."""
    space = write_tiny_bundle(folder / "student", role="query", dim=rows.shape[1]).space
    stamp = Stamp(size=1, mtime_ns=1)
    with closing(Catalogue.open(folder / "data")) as catalogue:
        for start in range(0, len(rows), 10_000):
            catalogue.upsert(
                space,
                [
                    NewItem(id=f"{n}", source="", stamp=stamp, metadata={"n": n}, vector=row)
                    for n, row in enumerate(rows[start : start + 10_000], start)
                ],
            )
        publish(catalogue, folder / "data", space, factory=factory, recall_gate=gate)
    return space


@contextmanager
def serving(folder: Path, *, is_alone: bool = False) -> Iterator[Served]:
    """A service in a process of its own. is_alone: nothing is batched there."""
    program = ["-c", _ALONE] if is_alone else ["-m", "lorgnette"]
    command = [sys.executable, *program, "serve", "--data", str(folder / "data")]
    command += ["--student", str(folder / "student"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        try:
            url = next(word for word in child.stdout.readline().split() if "://" in word)
            yield Served(url, child.pid)
        finally:
            child.terminate()
