"""A whole house to abuse: a gallery on disk, and `lorgnette serve` on it as a tree of processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from lorgnette.bundle import Bundle
from service.gallery.build import Options, index_folder
from tests.service.commands import ROOT, command_line
from tests.service.photographs import write_photographs
from tests.service.serving import eventually
from tests.service.test_serve import environment

PATIENCE_S = 60


@dataclass(frozen=True)
class House:
    """A data directory with one generation, and the bundles a service needs."""

    data: Path
    teacher: Path
    student: Path

    @classmethod
    def built(cls, folder: Path, teacher: Bundle, student: Bundle, *, photographs: int) -> House:
        bundle = folder / "models" / "teacher"
        shutil.copytree(teacher.directory, bundle)
        write_photographs(folder / "photos", photographs)
        index_folder(folder / "photos", folder / "data", bundle, options=Options(threads=1))
        return cls(folder / "data", bundle, student.directory)


@dataclass(frozen=True)
class Running:
    """ready_s: from the start of its process until a client is told that it is ready; of these
    waited_s it stood in the queue for a core, which on a machine of its own would be none."""

    process: subprocess.Popen[bytes]
    url: str
    ready_s: float
    waited_s: float

    def workers(self) -> list[int]:
        """The processes that answer: its children, or itself when it has none."""
        return children_of(self.process.pid) or [self.process.pid]

    def kill_all(self) -> None:
        """SIGKILL to every process of its session at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=PATIENCE_S)


def children_of(pid: int) -> list[int]:
    """Those that answer; spawning also leaves a tracker of resources."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in found if "spawn_main" in command_of(int(child))]


def queued_s(pid: int) -> float:
    """How long a process's main thread was ready to run and had no core."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@contextmanager
def served(house: House, *, workers: int = 1, **extra: str) -> Iterator[Running]:
    """Start it and wait until it is ready; leaving kills what is left. Logs go beside the data."""
    arguments = ("--data", house.data, "--teacher", house.teacher, "--student", house.student)
    port = free_port()
    command = command_line("serve", *arguments, "--port", str(port), "--workers", str(workers))
    log, began = house.data.with_name("serve.log"), time.monotonic()
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(**extra),
            stdout=subprocess.PIPE,
            stderr=file,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: is_ready(url) or process.poll() is not None, within_s=PATIENCE_S)
        ready_s = time.monotonic() - began
        waited_s = sum(map(queued_s, (process.pid, *children_of(process.pid)[:1])))
        assert process.stdout is not None
        # Printed when every worker is there.
        assert process.stdout.readline(), log.read_text()[-2000:]
        yield Running(process, url, ready_s, waited_s)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=PATIENCE_S)
        assert process.stdout is not None
        process.stdout.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=20).status_code == 200
    except httpx.TransportError:
        return False


def job_of(
    client: httpx.Client, location: str, *, within_s: float = PATIENCE_S
) -> dict[str, object]:
    """Wait until the job is over. Returns it."""
    job: dict[str, object] = {}

    def is_over() -> bool:
        job.update(client.get(location).json())
        return job["state"] not in ("queued", "running")

    eventually(is_over, within_s=within_s)
    return job
