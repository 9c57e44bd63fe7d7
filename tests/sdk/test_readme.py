"""Every code block of the SDK's README runs, in order, against a service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lorgnette.bundle import Bundle
from tests.sdk.library import service

README = Path(__file__).resolve().parents[2] / "clients" / "python" / "README.md"
ADDRESS = "http://127.0.0.1:8080"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def place(
    teacher: Bundle, student: Bundle, photos: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """A folder with `photo.jpg` and `other.png`, and the address of a service."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copy(photos[0], folder / "photo.jpg")
    Image.open(photos[1]).save(folder / "other.png")
    with service(teacher, student, photos) as loopback:
        yield folder, loopback.url


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


@pytest.mark.parametrize("block", blocks("sh"))
def test_a_shell_block_of_the_readme_runs(block: str, place: tuple[Path, str]) -> None:
    folder, url = place
    # The command line's default server is the address of the README.
    text = block.replace(ADDRESS, url).replace(" search ", f" search --server {url} ")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", text],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert "photo0.jpg" in done.stdout


@pytest.mark.parametrize("block", blocks("python"))
def test_a_python_block_of_the_readme_runs(
    block: str, place: tuple[Path, str], student: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = place
    if not (folder / "models" / "student").exists():
        shutil.copytree(student.directory, folder / "models" / "student")
    monkeypatch.chdir(folder)
    exec(compile(block.replace(ADDRESS, url), str(README), "exec"), {"__name__": "__main__"})


def test_the_readme_has_blocks_to_run() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "sh"}


def test_the_readme_names_every_dependency() -> None:
    project = (README.parent / "pyproject.toml").read_text()
    said = README.read_text().lower().replace("onnx runtime", "onnxruntime")
    for name in re.findall(r'^    "(\w+)[<>=]', project, flags=re.MULTILINE):
        assert name in said, name
