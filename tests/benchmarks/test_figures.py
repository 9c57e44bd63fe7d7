"""Each figure runs at its small size; what it measures is for a quiet machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import common, run
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


def test_the_page_says_what_it_lacks_what_was_missed_and_that_the_machine_was_shared() -> None:
    def written(load: float) -> str:
        conditions = {"versions": {}, "environment": {}, "load_average": load}
        targets = [common.at_most("ms", 0.4, 0.3), common.at_least("ratio", 5, 5)]
        report = {"table": [{"who": "a", "ms": 0.4}], "targets": targets, "conditions": conditions}
        return page({"start": report | {"took_s": 1}}, {})

    text = written(2.75)
    assert f"**1 of {len(FIGURES)} figures** (`run.py --only start`)" in text
    assert "| who | ms |\n|---|---|\n| a | 0.4 |\n" in text
    assert "- ms: at most 0.3, found 0.4, **missed**\n- ratio: at least 5, found 5\n" in text
    assert "**The machine was shared**: its load average was 2.8 or more" in text
    assert "shared" not in written(0.9)


def test_a_figure_that_fails_leaves_the_page_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conditions = {"versions": {}, "environment": {}, "load_average": 1.0}
    report = json.dumps({"table": [{"who": "a"}], "targets": [], "conditions": conditions})
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    told = f"import pathlib, sys; pathlib.Path(sys.argv[2]).write_text({report!r})"
    (folder / "good.py").write_text(told)
    (folder / "silent.py").write_text("")
    (folder / "broken.py").write_text("raise SystemExit(3)")
    (folder / "stuck.py").write_text("import signal; signal.pause()")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "_MOST_S", 5)
    monkeypatch.setattr(
        run, "FIGURES", {name: name for name in ("broken", "silent", "stuck", "good")}
    )
    monkeypatch.setattr(sys, "argv", ["run.py"])
    with pytest.raises(SystemExit, match="1"):
        run.main()
    assert (
        "**1 of 4 figures** (`run.py --only good`)"
        in (tmp_path / "docs" / "benchmarks.md").read_text()
    )
    told_of = capsys.readouterr().err
    assert all(f"{name} failed" in told_of for name in ("broken", "silent", "stuck"))
