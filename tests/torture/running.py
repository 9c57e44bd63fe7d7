"""Running one row: its tests in a process of their own, so that one that dies is one row's loss."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.torture.outcome import Outcome, outcome_of
from tests.torture.plugin import Told
from tests.torture.rows import Row

ROOT = Path(__file__).resolve().parents[2]
_NO_TESTS = 5


def run_row(row: Row, out: Path) -> Outcome:
    """Run its tests; what they print goes to `out/<row>.log`."""
    started = time.monotonic()
    report = (out / f"{row.name}.json").resolve()
    report.unlink(missing_ok=True)
    files = files_naming(row)
    code = _run(row, files, report, out / f"{row.name}.log") if files else _NO_TESTS
    told = [Told(**fields) for fields in json.loads(report.read_text())] if report.exists() else []
    return outcome_of(row, told, code=code, seconds=time.monotonic() - started)


def files_naming(row: Row) -> list[Path]:
    """The test files whose text has the row's marker: collecting only these is quick.

    So a marker names its one row as a literal.
    """
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    wanted = f'"{row.name}"'
    return [
        path for path in files if "torture_row" in (text := path.read_text()) and wanted in text
    ]


def _run(row: Row, files: list[Path], report: Path, log: Path) -> int:
    command = [
        sys.executable, "-m", "pytest", "--capture=no", "-p", "tests.torture.plugin",
        "--torture-row", row.name, "--torture-report", report, *files,
    ]  # fmt: skip
    with log.open("w") as file:
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout=row.longest_s)
        except BaseException as error:
            _kill_tree(process.pid)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return -signal.SIGKILL
            raise


def _kill_tree(pid: int) -> None:
    """Kill a process and all below it: its services have sessions of their own."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            for child in (task / "children").read_text().split():
                _kill_tree(int(child))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
