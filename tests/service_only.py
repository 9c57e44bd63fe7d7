"""Proof that the SDK and the service live without torch: run by an interpreter that has none.

    .venv-demo/bin/python -P tests/service_only.py

-P, because beside this file stands another package named `service`: the service's tests.
Needs no test framework, because the environment it is about holds the service's extra alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

ABSENT = ("torch", "torchvision", "timm", "onnx", "scipy", "pytest")


def main() -> None:
    found = [name for name in ABSENT if importlib.util.find_spec(name)]
    if found:
        sys.exit(f"this environment holds {', '.join(found)}, so it proves nothing")
    count = sum(import_everything(package) for package in ("lorgnette", "service"))
    expect_help()
    expect_missing_extra()
    sys.stdout.write(f"{count} modules of lorgnette and service work without torch\n")


def import_everything(package: str) -> int:
    root = importlib.import_module(package)
    names = [module.name for module in pkgutil.walk_packages(root.__path__, f"{package}.")]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    return len(names)


def expect_help() -> None:
    for verb in ("--help", "search", "index", "serve", "demo"):
        done = lorgnette(verb, "--help") if verb != "--help" else lorgnette(verb)
        if done.returncode:
            sys.exit(f"lorgnette {verb} fails without torch: {done.stderr}")


def expect_missing_extra() -> None:
    done = lorgnette("train", "config.yaml", "--data", ".", "--teacher", ".", "--out", "out")
    if not done.returncode or "training" not in done.stderr or "Traceback" in done.stderr:
        sys.exit(f"lorgnette train does not name the missing extra: {done.stderr}")


def lorgnette(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lorgnette")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
