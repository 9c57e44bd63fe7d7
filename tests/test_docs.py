"""The README is a walk a stranger takes: every command in it is run, or made to explain itself."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from tests.demo.pictures import numbered, write_pictures

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:8080"


def commands(start: str) -> list[str]:
    """The README's shell commands that begin so, continuation lines joined, comments dropped."""
    text = "\n".join(block for language, block in BLOCKS if language == "sh")
    lines = (line.split("  #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line.startswith(start)]


@pytest.fixture
def place(teacher: Bundle, student: Bundle, tmp_path: Path) -> Path:
    """A reader's directory: models, ~/Pictures, a photo of one of them, and a labelled folder."""
    shutil.copytree(teacher.directory, tmp_path / "models" / "teacher")
    shutil.copytree(student.directory, tmp_path / "models" / "student")
    names = numbered(12)
    pictures = write_pictures(tmp_path / "Pictures", *names)
    shutil.copy(pictures / names[3], tmp_path / "photo.jpg")
    labelled = [f"{'even' if n % 2 == 0 else 'odd'}/{name}" for n, name in enumerate(names)]
    write_pictures(tmp_path / "path" / "to" / "labelled", *labelled)
    write_run(tmp_path / "runs" / "student")
    return tmp_path


def write_run(directory: Path) -> None:
    """What of a training its report reads."""
    directory.mkdir(parents=True)
    config = {"name": "student", "schedule": {"seed": 0}, "crops": {"seed": 0}}
    saved = {"sha256": "a1" * 32, "git_commit": "c0ffee", "hardware": "a CPU", "config": config}
    (directory / "config.json").write_text(json.dumps(saved))
    lines = [json.dumps({"step": n, "loss": 1 / (n + 1), "lr_factor": 1}) for n in range(9)]
    (directory / "metrics.jsonl").write_text("\n".join([*lines, ""]))


def environment(place: Path, port: int) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(place), "LORGNETTE_PORT": str(port)}


def bash(command: str, *, place: Path, port: int) -> subprocess.CompletedProcess[str]:
    text = command.replace(ADDRESS, f"127.0.0.1:{port}")
    done = subprocess.run(
        ["bash", "-ec", text],
        cwd=place,
        env=environment(place, port),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def running(command: str, *, place: Path, port: int) -> Iterator[None]:
    arguments = [str(Path(sys.executable).with_name("lorgnette")), *shlex.split(command)[1:]]
    child = subprocess.Popen(
        arguments, cwd=place, env=environment(place, port), stdout=-3, stderr=-3
    )
    try:
        deadline = time.monotonic() + 30
        while not _is_ready(port):
            assert child.poll() is None, f"{command} ended with {child.returncode}"
            assert time.monotonic() < deadline, f"{command} is not ready after 30 s"
            time.sleep(0.05)
        yield
    finally:
        child.terminate()
        assert child.wait(timeout=30) == 0, f"{command} did not stop cleanly"


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


def test_the_walk_from_a_folder_to_an_answer(place: Path, port: int) -> None:
    (index,) = commands("lorgnette index")
    (pull,) = commands("lorgnette pull")
    (search,) = commands("lorgnette search")
    serve = next(command for command in commands("lorgnette serve") if "--host" not in command)
    (python,) = (block for language, block in BLOCKS if language == "python")
    bash(index, place=place, port=port)
    with running(serve, place=place, port=port):
        bash(pull, place=place, port=port)
        found = bash(search, place=place, port=port)
        (place / "snippet.py").write_text(python.replace(ADDRESS, f"127.0.0.1:{port}"))
        printed = bash("python snippet.py", place=place, port=port).stdout.splitlines()
    first = next(line for line in found.stdout.splitlines() if "photo-" in line)
    assert "photo-03.png" in first
    assert printed[0].endswith("photo-03.png")
    assert len(printed) == 5


def test_beyond_loopback_the_readme_sets_both_keys(place: Path, port: int) -> None:
    (export,) = commands("export LORGNETTE_")
    (serve,) = (command for command in commands("lorgnette serve") if "--host" in command)
    refused = subprocess.run(
        ["bash", "-ec", serve], cwd=place, env=environment(place, port), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "LORGNETTE_SEARCH_KEY" in refused.stderr
    keys = bash(f"{export}; env", place=place, port=port).stdout
    values = dict(line.split("=", 1) for line in keys.splitlines() if line.startswith("LORGNETTE_"))
    assert len({values["LORGNETTE_SEARCH_KEY"], values["LORGNETTE_ADMIN_KEY"]}) == 2
    assert min(map(len, values.values())) >= len(str(port))


def test_the_evaluation_runs_on_a_folder_a_class(place: Path, port: int) -> None:
    (evaluate,) = commands("lorgnette evaluate")
    assert "mAP" in bash(evaluate, place=place, port=port).stdout


def test_the_science_runs_on_the_shipped_pair(place: Path, port: int) -> None:
    said = {
        "lorgnette data list": "roxford5k",
        "lorgnette data check": "is whole: 12 images, 2 classes",
        "lorgnette complexity": "42.85",
        "lorgnette analyse": "closed form",
        "lorgnette report": "report.html",
    }
    for verb, words in said.items():
        (command,) = commands(verb)
        assert words in bash(command, place=place, port=port).stdout, command


def test_a_table_without_its_data_says_how_to_get_them(place: Path, port: int) -> None:
    """Before any weights are fetched: nothing here reaches the network."""
    (command,) = commands("lorgnette reproduce")
    done = subprocess.run(
        ["bash", "-ec", command], cwd=place, env=environment(place, port), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "`lorgnette data get` fetches it" in done.stderr


def test_every_make_target_named_exists() -> None:
    named = [command.split()[1] for command in commands("make ")]
    assert {"demo", "models"} <= set(named)
    for target in named:
        done = subprocess.run(
            ["make", "-n", target, "DATA=."], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_installation_is_the_one_the_makefile_does() -> None:
    (install,) = (command for command in commands(".venv-demo/bin/pip"))
    wanted = install.split("install", 1)[1].split()
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert " ".join(wanted[2:]) in recipe
    assert " ".join(wanted[:2]) in recipe


def test_every_file_the_documents_link_to_exists() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_shell_command_of_the_readme_is_run_here() -> None:
    """A command added to the README without a test fails here."""
    verbs = ("index", "serve", "pull", "search", "evaluate", "data list", "data check")
    science = ("complexity", "analyse", "report", "reproduce")
    tested = ("make ", ".venv-demo/bin/pip", "export LORGNETTE_")
    tested += tuple(f"lorgnette {verb}" for verb in (*verbs, *science))
    # By tests/test_operate.py.
    operating = ("keys", "snapshot", "items", "jobs", "generations", "reindex", "retire", "promote")
    tested += ("OLD=", *(f"lorgnette {verb}" for verb in operating))
    harmless = ("python3 -m venv", "source ")
    for command in commands(""):
        assert not command or command.startswith((*tested, *harmless)), command
