from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service.counters import counters_folder

# Says where it counts, and waits to be killed.
COUNTING = """
import sys
from service.counters import counters_folder
with counters_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def counting() -> tuple[subprocess.Popen[str], Path]:
    """A service in a process of its own, and the folder it counts in."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTING],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_service_left_goes_when_the_next_one_starts(temporary: Path) -> None:
    process, left = counting()
    (left / "counter_1.db").touch()
    with process:
        process.send_signal(signal.SIGKILL)
    assert left.is_dir()
    with counters_folder() as mine:
        assert list(temporary.iterdir()) == [mine]
    assert not list(temporary.iterdir())


def test_what_another_service_counts_in_stays(temporary: Path) -> None:
    process, other = counting()
    with process:
        with counters_folder() as mine:
            assert set(temporary.iterdir()) == {mine, other}
        assert list(temporary.iterdir()) == [other]
        process.communicate(input="")
    assert not list(temporary.iterdir())


def test_what_is_just_being_made_or_is_no_folder_stays(temporary: Path) -> None:
    young, elsewhere = temporary / "lorgnette-metrics-new", temporary / "elsewhere"
    young.mkdir()
    elsewhere.mkdir()
    (elsewhere / "owner.lock").touch()
    (temporary / "lorgnette-metrics-link").symlink_to(elsewhere)
    with counters_folder():
        pass
    assert {path.name for path in temporary.iterdir()} == {
        "lorgnette-metrics-new", "lorgnette-metrics-link", "elsewhere",
    }  # fmt: skip
