"""Each figure runs at its small size; what it measures is for a quiet machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import common
from benchmarks.run import FIGURES, ROOT, page


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_the_small_figure_runs_and_states_its_conditions(name: str, tmp_path: Path) -> None:
    file = tmp_path / "figure.json"
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--small", "--json"]
    subprocess.run([*command, str(file)], check=True, stdout=subprocess.DEVNULL)
    report = json.loads(file.read_text())
    assert report["table"]
    assert report["conditions"]["environment"]["OMP_NUM_THREADS"] == "1"
    assert FIGURES[name] in page({name: report | {"took_s": 1}}, {})


def test_recall_counts_the_true_neighbours_that_were_found() -> None:
    truth = np.array([[1, 2], [3, 4]])
    assert common.recall([[2, 9], [4, 3]], truth) == 0.75


def test_the_exact_neighbours_are_those_of_the_full_matrix() -> None:
    rows, queries = common.clustered(300, dim=32), common.clustered(9, dim=32, seed=2)
    full = np.argsort(-(queries @ rows.T), axis=1)[:, : common.K]
    assert np.array_equal(np.sort(common.exact(rows, queries), axis=1), np.sort(full, axis=1))


def test_calls_take_turns_and_are_told_their_round() -> None:
    asked: list[tuple[str, int]] = []
    figures = common.interleaved(
        {"a": lambda n: asked.append(("a", n)), "b": lambda n: asked.append(("b", n))}, rounds=3
    )
    assert asked == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert set(figures) == {"a", "b"}
