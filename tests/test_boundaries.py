"""The walls: who may import whom. Each is proved by import-linter and by really importing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

WALLS = {
    "lorgnette": (
        "torch",
        "torchvision",
        "timm",
        "faiss",
        "fastapi",
        "onnx",
        "service",
        "training",
    ),
    "service": ("torch", "torchvision", "timm", "onnx", "training", "export"),
    "training": ("fastapi", "onnx", "service", "export"),
    "export": ("faiss", "fastapi", "service"),
}

IMPORT_EVERYTHING = """
import importlib, importlib.abc, importlib.machinery, pkgutil, sys
package, *forbidden = sys.argv[1:]

# Looking whether a module exists is allowed, as torch does for onnx; importing it is not.
class Wall(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in forbidden:
            return importlib.machinery.ModuleSpec(name, self, origin="behind the wall")

    def create_module(self, spec):
        raise ImportError(f"{package} reached through the wall for {spec.name}")

    def exec_module(self, module):
        raise AssertionError("create_module has already refused")

sys.meta_path.insert(0, Wall())
root = importlib.import_module(package)
for module in pkgutil.walk_packages(root.__path__, package + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def _python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", WALLS)
def test_every_module_imports_with_the_forbidden_ones_blocked(package: str) -> None:
    done = _python(IMPORT_EVERYTHING, package, *WALLS[package])
    assert done.returncode == 0, done.stderr


def test_the_wall_itself_stops_a_forbidden_import() -> None:
    done = _python(IMPORT_EVERYTHING, "lorgnette", "numpy")
    assert done.returncode != 0
    assert "reached through the wall for numpy" in done.stderr


def test_import_linter_keeps_its_contracts() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", ["service", "training", "export"])
def test_the_command_line_of_a_package_imports_nothing_heavy(package: str) -> None:
    code = (
        f"import {package}.cli, sys;"
        "heavy = {'torch', 'timm', 'faiss', 'fastapi', 'onnx', 'onnxruntime'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = _python(code)
    assert done.returncode == 0, done.stderr
