"""Wrong configurations are refused by name; right ones are identified by what they say."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from lorgnette.errors import InvalidConfiguration
from tests.training.tiny_experiment import DATA, STUDENT
from training.config import TeacherConfig, TrainConfig, config_sha256, load_config, save_resolved

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    return path


def test_an_unknown_key_is_named_with_its_place(tmp_path: Path) -> None:
    wrong = copy.deepcopy(STUDENT)
    wrong["optimiser"]["learning_rate"] = 1e-3
    with pytest.raises(InvalidConfiguration, match=r"unknown key 'optimiser\.learning_rate'"):
        load_config(_written(tmp_path, yaml.safe_dump(wrong)), TrainConfig)


def test_a_missing_key_is_named_because_nothing_has_a_default(tmp_path: Path) -> None:
    wrong = copy.deepcopy(STUDENT)
    del wrong["model"]["input"]["resize"]
    with pytest.raises(InvalidConfiguration, match=r"missing key 'model\.input\.resize'"):
        load_config(_written(tmp_path, yaml.safe_dump(wrong)), TrainConfig)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("crops", "area"), [0.5, 0.1], "area"),
        (("schedule", "sizes"), [{"size_px": 32, "until": 0.5}], "end at 1"),
        (("data",), [DATA[0] | {"splits": "s"}], "together"),
        (("head", "ridge"), 0, "head.ridge"),
        (("objective", "terms"), [], "objective.terms"),
        (("schedule", "epochs"), 3, "give steps or epochs"),
        (("role",), "gallery", "makes its own space"),
        (("optimiser", "proxies_lr"), 0.1, "proxies_lr"),
        (("whitening",), {"name": "pca", "dim": 4, "shrinkage": 0}, "gallery model"),
        (("name",), "Not A Name", "name"),
    ],
)
def test_a_value_out_of_range_is_named(
    tmp_path: Path, place: tuple[str, ...], value: object, reason: str
) -> None:
    wrong = copy.deepcopy(STUDENT)
    inner = wrong
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(InvalidConfiguration, match=reason):
        load_config(_written(tmp_path, yaml.safe_dump(wrong)), TrainConfig)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: a\nname: b\n", "given twice"),
        ("name: [", "not YAML"),
        ("", "the file"),
        ("- 1\n", "the file"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InvalidConfiguration, match=reason):
        load_config(_written(tmp_path, text), TrainConfig)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="cannot read"):
        load_config(tmp_path / "absent.yaml", TrainConfig)


def test_numbers_may_be_written_as_1e_3(tmp_path: Path) -> None:
    text = yaml.safe_dump(STUDENT).replace("ridge: 0.001", "ridge: 1e-3")
    assert "1e-3" in text
    assert load_config(_written(tmp_path, text), TrainConfig).head.ridge == 1e-3


def test_the_digest_is_of_what_is_said_not_of_how(tmp_path: Path) -> None:
    plain = load_config(_written(tmp_path, yaml.safe_dump(STUDENT)), TrainConfig)
    flow = "# a comment\n" + yaml.safe_dump(STUDENT, default_flow_style=True, sort_keys=False)
    assert config_sha256(load_config(_written(tmp_path, flow), TrainConfig)) == config_sha256(plain)
    other = plain.model_copy(update={"name": "other"})
    assert config_sha256(other) != config_sha256(plain)
    save_resolved(plain, tmp_path / "config.json", git_commit="abc")
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["sha256"] == config_sha256(plain)
    assert saved["git_commit"] == "abc"
    assert TrainConfig.model_validate_json(json.dumps(saved["config"])) == plain


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_we_ship_is_valid(path: Path) -> None:
    kind = TeacherConfig if path.stem.startswith("teacher") else TrainConfig
    assert load_config(path, kind).name
