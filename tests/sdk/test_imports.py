"""The SDK's door: what it offers, how fast it opens, and what it needs beside itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import lorgnette

PACKAGE = Path(lorgnette.__file__).parent
IMPORT_NAME = {"pillow": "PIL"}

OPEN_THE_DOOR = """
import sys, time
sys.modules.update(dict.fromkeys(("torch", "faiss", "fastapi", "onnx", "timm", "cryptography")))
import lorgnette
for name in lorgnette.__all__:
    getattr(lorgnette, name)
print(time.process_time())
"""


def test_everything_imports_in_a_second_without_torch_faiss_or_fastapi() -> None:
    """Processor time, the best of three, so that a busy machine does not decide."""
    seconds = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", OPEN_THE_DOOR], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        seconds.append(float(done.stdout))
    assert min(seconds) < 1.0


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, lorgnette; print(*{'numpy', 'onnxruntime', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def declared() -> set[str]:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w-]+", requirement) for requirement in project["dependencies"]]
    return {IMPORT_NAME.get(match[0], match[0]) for match in names if match}


def optional() -> set[str]:
    """What the extras bring: imported when it is asked for, and missed with a word about it."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    names = [re.match(r"[\w-]+", requirement) for extra in extras for requirement in extra]
    return {match[0] for match in names if match}


def imported(source: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} imports relatively"
            found.add((node.module or "").partition(".")[0])
    return found


def test_nothing_is_imported_but_the_declared_dependencies() -> None:
    allowed = declared() | optional() | set(sys.stdlib_module_names) | {"lorgnette"}
    reached = {source.name: imported(source) - allowed for source in PACKAGE.rglob("*.py")}
    assert {name: extra for name, extra in reached.items() if extra} == {}


def test_every_declared_dependency_is_used() -> None:
    used = set().union(*(imported(source) for source in PACKAGE.rglob("*.py")))
    assert declared() - used == set()


def test_the_door_offers_exactly_what_it_lists() -> None:
    assert sorted(lorgnette.__all__) == dir(lorgnette)
    assert len(set(lorgnette.__all__)) == len(lorgnette.__all__)
    for name in lorgnette.__all__:
        assert getattr(lorgnette, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        lorgnette.Nothing  # noqa: B018


def test_a_type_checker_sees_the_same_door() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(seen) | {"__version__"} == set(lorgnette.__all__)
    for name, module in seen.items():
        assert module is not None
        if name != "errors":
            assert getattr(lorgnette, name) is getattr(import_module(module), name)


def test_no_module_is_longer_than_its_reader_has_patience() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: n for name, n in lengths.items() if n > 250} == {}
