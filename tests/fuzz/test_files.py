"""Damaged files: whoever opens them lives, and what is given is right, or refused by its name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from lorgnette.bundle import Bundle
from tests.conftest import ROOT
from tests.fuzz.expected import MAKERS, QUERIES
from tests.fuzz.mutations import mutated
from tests.service.gallery_rows import SPACE
from tests.service.test_serve import served
from tests.torture.figures import RecordFigure

AT_LENGTH = {"gallery": 900, "snapshot": 500, "keys": 200, "bundle": 400}
IN_SHORT = {"gallery": 45, "snapshot": 20, "keys": 20, "bundle": 20}


class Opener:
    """The child that opens; a new one after each death."""

    def __init__(self) -> None:
        self.deaths: list[int] = []
        self._start()

    def _start(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.opening"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True,
        )  # fmt: skip

    def ask(self, kind: str, folder: Path) -> dict[str, object]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps({"kind": kind, "folder": str(folder)}) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if line:
            found: dict[str, object] = json.loads(line)
            return found
        self.deaths.append(self._child.wait())
        self._start()
        return {"fault": f"the process died with {self.deaths[-1]}"}

    def close(self) -> None:
        self._child.communicate(timeout=60)


@contextmanager
def opener() -> Iterator[Opener]:
    running = Opener()
    try:
        yield running
    finally:
        running.close()


def damage(folder: Path, kind: str, random: np.random.Generator) -> str:
    """Mutate one file of the folder, whose copy it is; returns its name."""
    inside = folder / "snapshots" if kind == "snapshot" else folder
    paths = sorted(path for path in inside.rglob("*") if path.is_file() and path.stat().st_size)
    chosen = paths[random.integers(len(paths))]
    other = paths[random.integers(len(paths))].read_bytes()
    content = mutated(chosen.read_bytes(), random, other=other)
    chosen.unlink()
    chosen.write_bytes(content)
    return str(chosen.relative_to(folder))


def survey(root: Path, kind: str, times: int, opening: Opener) -> Counter[str]:
    """Open so many damaged copies. Counts: right, refused; anything else by what was wrong."""
    template, copy = root / "template", root / "copy"
    right = opening.ask(kind, _copied(template, copy))
    assert "gave" in right, right
    seen: Counter[str] = Counter()
    for seed in range(times):
        random = np.random.default_rng([seed, *kind.encode()])
        folder = _copied(template, copy)
        name = damage(folder, kind, random)
        found = opening.ask(kind, folder)
        seen[_judged(found, right, name=name, seed=seed)] += 1
    return seen


def _copied(template: Path, copy: Path) -> Path:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(template, copy)
    return copy


def _judged(found: dict[str, object], right: dict[str, object], *, name: str, seed: int) -> str:
    if "refused" in found:
        said = str(found["refused"])
        is_named = Path(name).name in said or str(Path(name).parent) in said
        return "refused" if is_named else f"seed {seed}, {name}: not named: {said}"
    if "fault" in found:
        return f"seed {seed}, {name}: {found['fault']}"
    return "right" if found == right else f"seed {seed}, {name}: something else was served"


def check(
    root: Path, kind: str, times: int, patch: pytest.MonkeyPatch, record: RecordFigure
) -> None:
    MAKERS[kind](root / "template", patch)
    with opener() as opening:
        seen = survey(root, kind, times, opening)
        deaths = len(opening.deaths)
    wrong = sorted(verdict for verdict in seen if verdict not in ("right", "refused"))
    record("mutated files", seen.total(), fold=sum)
    record("refused, named", seen["refused"], fold=sum)
    record("right all the same", seen["right"], fold=sum)
    record("anything else", len(wrong), fold=sum)
    record("deaths", deaths, fold=sum)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", IN_SHORT)
def test_a_damaged_file_is_refused_by_its_name_or_does_no_harm(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, record_figure: RecordFigure
) -> None:
    check(tmp_path, kind, IN_SHORT[kind], monkeypatch, record_figure)


@pytest.mark.torture
@pytest.mark.torture_row("files")
@pytest.mark.parametrize("kind", AT_LENGTH)
def test_2_000_damaged_files_are_refused_by_name_or_do_no_harm(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, record_figure: RecordFigure
) -> None:
    check(tmp_path, kind, AT_LENGTH[kind], monkeypatch, record_figure)


LIVE_POLLS_S = 0.7
"""Longer than the service waits until it looks again."""


@pytest.mark.torture
@pytest.mark.torture_row("files")
def test_a_running_service_survives_damage_under_its_feet(
    tmp_path: Path, student: Bundle, monkeypatch: pytest.MonkeyPatch, record_figure: RecordFigure
) -> None:
    data, away = tmp_path / "data", tmp_path / "away"
    MAKERS["snapshot"](data, monkeypatch)
    options = ("--data", str(data), "--student", str(student.directory), "--port", "0")
    body = {"space": SPACE.id, "vectors": QUERIES.tolist(), "k": 100}
    with served(*options) as (process, url), httpx.Client(base_url=url, timeout=20) as client:
        assert process.stderr is not None
        # A log nobody reads fills its pipe, and then the service waits.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        right = client.post("/search", json=body).json()["results"]
        files = sorted(path for path in data.rglob("*") if path.is_file() and path.stat().st_size)
        random, answers = np.random.default_rng(0), Counter[int]()
        for turn in range(40):
            chosen = files[turn % len(files)]
            content = mutated(chosen.read_bytes(), random, other=files[0].read_bytes())
            chosen.rename(away)
            chosen.write_bytes(content)
            until = time.monotonic() + LIVE_POLLS_S
            while time.monotonic() < until:
                answered = client.post("/search", json=body)
                answers[answered.status_code] += 1
                wrong = answered.status_code == 200 and answered.json()["results"] != right
                assert not wrong, f"{chosen} was served"
                assert process.poll() is None, chosen
            away.replace(chosen)
    record_figure("damaged while served", 40, fold=sum)
    record_figure("answers meanwhile", answers.total(), fold=sum)
    record_figure("right", answers[200], fold=sum)
    assert answers[200] > 0
