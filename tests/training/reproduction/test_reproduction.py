"""Tables run again in small: rows resumed, failures named, ours beside the published."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import Provenance
from tests.training.evaluation.stand_ins import write_stand_in
from tests.training.networks import network
from tests.training.photographs import write_classes
from tests.training.stand_in import CLASSES, PER_CLASS, small
from training.cli import train
from training.config import TrainConfig, load_config
from training.evaluation.cli import evaluate
from training.models.embedder import Embedder
from training.reproduction.cli import CONFIGS
from training.reproduction.published import TABLES
from training.reproduction.rows import Folders, RowFailed, lorgnette
from training.reproduction.table import reproduce
from training.space import space_of
from training.trained_model import ModelSpec, save_model


class InProcess:
    """The same verbs in this process; counts them, and fails where told."""

    def __init__(self, *, broken: str = "no such word") -> None:
        self.broken = broken
        self.calls: list[list[str]] = []
        self._app = typer.Typer()
        self._app.command()(train)
        self._app.command()(evaluate)

    def __call__(self, arguments: Sequence[str]) -> None:
        self.calls.append(list(arguments))
        if any(self.broken in argument for argument in arguments):
            raise RowFailed("`lorgnette …` ended with 1")
        result = CliRunner().invoke(self._app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output


def _write_small(name: str, configs: Path, *, like: str | None = None) -> None:
    config = small(load_config(CONFIGS / (like or name), TrainConfig))
    (configs / name).parent.mkdir(parents=True, exist_ok=True)
    text = config.model_copy(update={"validation": None, "whitening": None}).model_dump_json()
    (configs / name).write_text(text)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Small configurations of a few rows, and stand-ins of the benchmarks they are tested on."""
    root = tmp_path_factory.mktemp("ground")
    write_classes(root / "data" / "classes", [PER_CLASS] * CLASSES)
    for benchmark in ("roxford5k", "rparis6k", "cub"):
        write_stand_in(benchmark, root / "data")
    for name in ("aml/regression.yaml", "aml/rkd.yaml", "metrix/contrastive_feature.yaml"):
        _write_small(name, root / "configs")
    # A teacher as long as its small students.
    teacher = TABLES["aml-asymmetric"].teacher
    assert teacher is not None
    _write_small(teacher, root / "configs", like="aml/student_alone_2048.yaml")
    return Folders(root / "configs", root / "data", root / "out", teacher=None, whitening=None)


def test_every_row_of_every_table_is_a_configuration_we_ship() -> None:
    for name, table in TABLES.items():
        roles = set()
        for row in table.rows:
            assert len(row.published) == len(table.columns), (name, row.name)
            roles.add(load_config(CONFIGS / row.config, TrainConfig).role)
        assert ("query" in roles) == (table.teacher is not None), name
    assert len(TABLES["glam"].rows) == 8
    aml = {row.config for row in TABLES["aml-symmetric"].rows}
    assert {row.config for row in TABLES["aml-asymmetric"].rows} < aml


def test_a_teacher_a_row_and_a_failure(ground: Folders) -> None:
    command = InProcess(broken="rkd")
    done = reproduce("aml-asymmetric", ground, only=["regression", "rkd"], command=command)
    verbs = [call[0] for call in command.calls]
    assert verbs == ["train", "train", "evaluate", "evaluate", "train"]
    assert list(done.failures) == ["aml/rkd.yaml"]
    ((row, result),) = done.results
    assert row.name == "Reg"
    assert all(0 <= value <= 100 for value in result.ours)
    record = json.loads((ground.out / "aml-asymmetric.json").read_text())
    assert record["rows"][0]["published"]["ROxf Medium"] == 52.9
    assert set(record["rows"][0]["protocols"]) == {"roxford5k", "rparis6k"}
    text = (ground.out / "aml-asymmetric.md").read_text()
    assert f"| Reg | {result.ours[0]:.1f} / 52.9 |" in text
    assert "not run, aml/rkd.yaml" in text
    # Once more: what is finished is read, what failed is tried again.
    again = InProcess()
    more = reproduce("aml-asymmetric", ground, only=["regression", "rkd"], command=again)
    assert [call[0] for call in again.calls] == ["train", "evaluate", "evaluate"]
    assert more.results[0][1] == result
    assert not more.failures
    assert "1.5–1.6" in (ground.out / "aml-asymmetric.md").read_text()
    # The symmetric table reads the same runs and evaluations.
    third = InProcess()
    symmetric = reproduce("aml-symmetric", ground, only=["regression"], command=third)
    assert third.calls == []
    assert len(symmetric.results) == 1


def test_students_and_teacher_are_whitened_at_the_test_when_asked(
    ground: Folders, tmp_path: Path
) -> None:
    embedder = Embedder(network(adapt_dim=8, dim=4))
    provenance = Provenance(
        created="2026-01-01T00:00:00Z", git_commit="none", config_sha256="none", command="tests",
        weights="random", data=(), licences=(), metrics={},
    )  # fmt: skip
    space = space_of(embedder, name="lw", spec=embedder.network.input)
    spec = ModelSpec(
        role="gallery", name="lw", network=embedder.network, space=space, provenance=provenance
    )
    save_model(tmp_path / "lw", embedder, spec)
    plain = Folders(ground.configs, ground.data, tmp_path / "out", teacher=None, whitening=None)
    command = InProcess()
    without = reproduce("aml-asymmetric", plain, only=["regression"], command=command)
    asked = dataclasses.replace(plain, whitening=tmp_path / "lw")
    again = InProcess()
    whitened = reproduce("aml-asymmetric", asked, only=["regression"], command=again)
    assert [call[0] for call in again.calls] == ["evaluate", "evaluate"]
    assert all("--whitening" in call for call in again.calls)
    assert without.results[0][1].protocols != whitened.results[0][1].protocols


def test_a_network_alone_is_compared_with_itself(ground: Folders) -> None:
    command = InProcess()
    done = reproduce("metrix", ground, only=["contrastive_feature"], command=command)
    ((row, result),) = done.results
    assert row.published == (67.4,)
    assert result.trained_on
    (trained, evaluated) = command.calls
    assert "--teacher" not in trained
    assert "--query" not in evaluated
    assert "--image-size" not in evaluated


def test_a_run_of_another_configuration_is_refused(ground: Folders, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "metrix" / "contrastive_feature"
    run.mkdir(parents=True)
    (run / "model.json").write_text("{}")
    (run / "config.json").write_text(json.dumps({"sha256": "0" * 64}))
    folders = Folders(ground.configs, ground.data, tmp_path, teacher=None, whitening=None)
    with pytest.raises(InvalidConfiguration, match="a run of another configuration"):
        reproduce("metrix", folders, only=["contrastive_feature"], command=InProcess())


def test_an_unknown_row_is_refused(ground: Folders) -> None:
    with pytest.raises(InvalidConfiguration, match=r"no row birds: expected some of .*baseline"):
        reproduce("glam", ground, only=["birds"], command=InProcess())


def test_a_command_that_fails_fails_its_row() -> None:
    with pytest.raises(RowFailed, match="ended with"):
        lorgnette(["no-such-verb"])


@pytest.mark.slow
def test_a_row_by_the_real_command(ground: Folders, tmp_path: Path) -> None:
    folders = dataclasses.replace(ground, out=tmp_path / "out")
    done = reproduce("metrix", folders, only=["contrastive_feature"], command=lorgnette)
    assert not done.failures
    assert "| + feature |" in (tmp_path / "out" / "metrix.md").read_text()
