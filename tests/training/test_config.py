"""Wrong configurations are refused by name; right ones are identified by what they say."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from lorgnette.errors import InvalidConfiguration
from tests.training.tiny_experiment import DATA, STUDENT
from training.config import TeacherConfig, TrainConfig, config_sha256, load_config, save_resolved
from training.yaml_file import read_yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIGS, DOCS = ROOT / "training" / "configs", ROOT / "docs"


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
        (("schedule", "seed"), 2**70, "schedule.seed"),
        (("crops", "seed"), 2**70, "crops.seed"),
        (("running", "threads"), 10**6, "running.threads"),
        (("data",), [DATA[0] | {"folder": "/photos"}], "relative to --data"),
        (("optimiser", "rule", "betas"), [0.9, 1.0], "betas.1"),
        (("optimiser", "backbone_lr"), float("inf"), "backbone_lr"),
        (("optimiser", "head_lr"), float("nan"), "head_lr"),
        (("schedule", "sizes"), [{"size_px": 10**6, "until": 1.0}], "size_px"),
        (("model", "input", "std"), [0.5, 0.0, 0.5], "input.std"),
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


def test_what_is_wrong_is_said_once_and_in_our_words(tmp_path: Path) -> None:
    wrong = copy.deepcopy(STUDENT)
    wrong["objective"]["terms"][0]["self_pair"] = "ignored"
    wrong["schedule"]["epochs"] = 3
    with pytest.raises(InvalidConfiguration) as caught:
        load_config(_written(tmp_path, yaml.safe_dump(wrong)), TrainConfig)
    assert str(caught.value).count("; ") == 1
    assert "Value error" not in str(caught.value)
    assert "Tuple should have" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: a\nname: b\n", "given twice"),
        ("name: [", "not YAML"),
        ("", "the file"),
        ("- 1\n", "the file"),
        ("name: &name [*name]\n", "recursive"),
        ("? [name]\n: 1\n", "a key must be a word"),
        ("? {name: 1}\n: 1\n", "a key must be a word"),
        ("[" * 3000 + "]" * 3000, "nested too deeply"),
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


def test_every_configuration_we_ship_is_valid_and_has_a_name_of_its_own() -> None:
    study = CONFIGS / "study"
    whitened = [CONFIGS / "teacher_lite2.yaml", *(study / "teachers").glob("*.yaml")]
    names = [load_config(path, TeacherConfig).name for path in whitened]
    for path in CONFIGS.rglob("[!_]*.yaml"):
        # The study's tables hold many configurations each; its own tests read them.
        if path not in whitened and path.parent != study:
            names.append(load_config(path, TrainConfig).name)
    assert len(names) == len(set(names)) >= 2 + 2 + 11 + 8 + 16 + 5


def test_the_example_of_the_documentation_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "training.md").read_text(), re.DOTALL)
    (tmp_path / "student_lite0.yaml").write_text((CONFIGS / "student_lite0.yaml").read_text())
    config = load_config(_written(tmp_path, example), TrainConfig)
    assert config.name == "my-student"
    assert config.schedule.steps == 4000


def _pair(tmp_path: Path, base: str, top: str) -> Path:
    (tmp_path / "_base.yaml").write_text(base)
    return _written(tmp_path, f"extends: _base.yaml\n{top}")


def test_an_extended_file_is_merged_key_by_key_and_lists_are_replaced(tmp_path: Path) -> None:
    base = "a: {b: 1, c: [1, 2]}\nd: 3\n"
    assert read_yaml(_pair(tmp_path, base, "a: {c: [3]}\ne: null\n")) == {
        "a": {"b": 1, "c": [3]},
        "d": 3,
        "e": None,
    }


def test_three_files_are_merged_from_the_lowest_up(tmp_path: Path) -> None:
    (tmp_path / "_base.yaml").write_text("a: 1\nb: {c: 1, d: 1}\ne: 1\n")
    (tmp_path / "row.yaml").write_text("extends: _base.yaml\nb: {c: 2, d: 2}\ne: 2\n")
    (tmp_path / "set").mkdir()
    top = tmp_path / "set" / "row.yaml"
    top.write_text("extends: ../row.yaml\nb: {d: 3}\n")
    assert read_yaml(top) == {"a": 1, "b": {"c": 2, "d": 3}, "e": 2}


def test_a_null_replaces_and_another_name_replaces_the_whole(tmp_path: Path) -> None:
    base = "name: a\nx: {y: 1}\nloss: {name: one, margin: 1}\nrule: {name: sgd, momentum: 0.9}\n"
    top = "name: b\nx: null\nloss: {name: two}\nrule: {name: sgd, nesterov: true}\n"
    assert read_yaml(_pair(tmp_path, base, top)) == {
        "name": "b",
        "x": None,
        "loss": {"name": "two"},
        "rule": {"name": "sgd", "momentum": 0.9, "nesterov": True},
    }


def test_what_is_resolved_has_the_digest_of_the_same_said_in_one_file(tmp_path: Path) -> None:
    whole = load_config(_written(tmp_path, yaml.safe_dump(STUDENT)), TrainConfig)
    base = yaml.safe_dump(STUDENT | {"name": "other", "averaging": None})
    top = yaml.safe_dump({"name": STUDENT["name"], "averaging": STUDENT["averaging"]})
    extended = load_config(_pair(tmp_path, base, top), TrainConfig)
    assert config_sha256(extended) == config_sha256(whole)


@pytest.mark.parametrize(
    ("base", "top", "reason"),
    [
        ("extends: _base.yaml\n", "a: 1\n", "at most 3 files"),
        ("- 1\n", "a: 1\n", "keys and values"),
    ],
)
def test_a_file_that_cannot_be_extended_is_refused(
    tmp_path: Path, base: str, top: str, reason: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=reason):
        read_yaml(_pair(tmp_path, base, top))


def test_extending_a_file_that_is_not_there_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"absent\.yaml"):
        read_yaml(_written(tmp_path, "extends: absent.yaml\n"))
    with pytest.raises(InvalidConfiguration, match="name of a file"):
        read_yaml(_written(tmp_path, "extends: [a, b]\n"))


def test_a_query_model_without_a_term_that_asks_the_teacher_is_refused(tmp_path: Path) -> None:
    wrong = copy.deepcopy(STUDENT)
    loss = {"name": "contrastive", "margin_cosine": 0.5}
    wrong["objective"]["terms"][0] |= {"others": "student", "self_pair": "ignore", "loss": loss}
    with pytest.raises(InvalidConfiguration, match="no term of the objective asks the teacher"):
        load_config(_written(tmp_path, yaml.safe_dump(wrong)), TrainConfig)


def test_mixing_a_loss_that_takes_hard_labels_only_is_refused(tmp_path: Path) -> None:
    wrong = copy.deepcopy(STUDENT)
    mixing = {"where": "embedding", "layer": None, "pairs": "positive-negative", "alpha": 2.0}
    mixing |= {"draw": "batch", "per_anchor": 1, "weight": 0.4}
    loss = {"name": "triplet", "margin_cosine": 0.1}
    wrong["objective"]["terms"][0] |= {"self_pair": "ignore", "mixing": mixing, "loss": loss}
    with pytest.raises(InvalidConfiguration, match="triplet takes 0 or 1 only"):
        load_config(_written(tmp_path, yaml.safe_dump(wrong)), TrainConfig)
