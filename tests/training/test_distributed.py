"""Two real processes (gloo) against one: the same loss and the same gradients."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration
from tests.training.methods import TABLE, objective_of, take_step
from tests.training.one_of_two import BATCHES, CASES, PROCESSES, measured
from tests.training.tiny_batch import TinyStudent
from training import distributed, mixed_pairs
from training.distributed import average_gradients, gathered, share

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120

Found = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What each of the processes found, by case."""
    directory = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-m", "tests.training.one_of_two"]
    running = [
        subprocess.Popen(
            [*command, str(rank), str(directory)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(PROCESSES)
    ]
    said = [process.communicate(timeout=SECONDS)[0] for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES, "\n".join(said)
    return [torch.load(directory / f"rank{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_loss_and_gradients_of_one(
    case: str, together: list[Found], tmp_path: Path
) -> None:
    method, batch = CASES[case]
    alone = measured(objective_of(TABLE[method], tmp_path), batch)
    for found in together:
        assert set(found[case]) == set(alone)
        for name, expected in alone.items():
            torch.testing.assert_close(found[case][name], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_both_processes_end_with_equal_gradients_bit_for_bit(
    case: str, together: list[Found]
) -> None:
    first, second = (found[case] for found in together)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_alone_a_process_has_it_all_and_averages_nothing() -> None:
    rows = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert gathered(rows, count=5) is rows
    assert share(5) == slice(0, 5)
    parameter = nn.Parameter(rows)
    parameter.grad = rows.clone()
    average_gradients([parameter])
    assert torch.equal(parameter.grad, rows)


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_shares_cover_a_batch_once_and_differ_by_one_at_most(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "processes", lambda: processes)
    parts = []
    for rank in range(processes):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(list(range(7))[share(7)])
    assert list(chain.from_iterable(parts)) == list(range(7))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_fewer_images_than_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "processes", lambda: 4)
    monkeypatch.setattr(distributed, "rank", lambda: 0)
    with pytest.raises(InvalidConfiguration, match="3 images for 4 processes"):
        share(3)


def test_images_are_not_mixed_across_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mixed_pairs, "processes", lambda: 2)
    objective = objective_of(TABLE["Metrix input"], tmp_path)
    with pytest.raises(InvalidConfiguration, match="'embedding' mixes gathered rows"):
        take_step(objective, TinyStudent(), BATCHES["even"])
    embedded = objective_of(TABLE["Metrix embedding"], tmp_path)
    assert take_step(embedded, TinyStudent(), BATCHES["even"]) > 0
