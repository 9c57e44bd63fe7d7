"""From a configuration's words to a loss."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from training.losses.build import (
    PAIR_LOSSES,
    RELATIONAL_LOSSES,
    build_pair_loss,
    build_relational_loss,
)
from training.losses.specs import PairLossSpec, RelationalLossSpec

PAIR: TypeAdapter[PairLossSpec] = TypeAdapter(PairLossSpec)
RELATIONAL: TypeAdapter[RelationalLossSpec] = TypeAdapter(RelationalLossSpec)

PAIR_WORDS: list[dict[str, object]] = [
    {"name": "contrastive", "margin_cosine": 0.5},
    {"name": "contrastive-distance", "margin_distance": 0.7},
    {"name": "contrastive-nonzero", "margin_distance": 0.5},
    {"name": "triplet", "margin_cosine": 0.1},
    {"name": "triplet-squared", "margin_squared_distance": 0.7},
    {"name": "multi-similarity", "alpha": 2.0, "beta": 40.0, "base": 0.5},
    {"name": "regression"},
    {"name": "raml-absolute"},
    {"name": "arcface", "scale": 30.0, "margin_radians": 0.3},
    {"name": "proxy-anchor", "alpha": 32.0, "margin_cosine": 0.1},
    {"name": "proxy-nca++", "temperature": 0.11},
]
RELATIONAL_WORDS: list[dict[str, object]] = [
    {"name": "rkd-distance"},
    {"name": "rkd-angle"},
    {"name": "darkrank", "alpha": 3.0, "beta": 3.0, "nearest": 4},
    {"name": "csd", "nearest": 96, "temperature_student": 1.0, "temperature_teacher": 0.01},
    {"name": "raml-relational"},
    {"name": "ssp", "temperature": 0.1},
    {"name": "rop", "nearest": 96, "temperature": 0.1, "weight_scale": 0.2},
    {
        "name": "d3still",
        "nearest": 10,
        "first_order_weight": 50.0,
        "hard_weight": 2.0,
        "simple_weight": 1.0,
    },
]


def by_name(words: dict[str, object]) -> str:
    return str(words["name"])


def test_every_loss_has_its_words_here() -> None:
    assert list(map(by_name, PAIR_WORDS)) == list(PAIR_LOSSES)
    assert list(map(by_name, RELATIONAL_WORDS)) == list(RELATIONAL_LOSSES)


@pytest.mark.parametrize("words", PAIR_WORDS, ids=by_name)
def test_a_pair_loss_is_built_with_the_parameters_named(words: dict[str, object]) -> None:
    spec = PAIR.validate_python(words)
    loss = build_pair_loss(spec)
    assert {"name": words["name"], **vars(loss)} == words
    assert loss.takes_soft_labels == spec.takes_soft_labels


@pytest.mark.parametrize("words", RELATIONAL_WORDS, ids=by_name)
def test_a_relational_loss_is_built_with_the_parameters_named(words: dict[str, object]) -> None:
    loss = build_relational_loss(RELATIONAL.validate_python(words))
    assert {"name": words["name"], **vars(loss)} == words


@pytest.mark.parametrize("words", [*PAIR_WORDS, *RELATIONAL_WORDS], ids=by_name)
def test_no_parameter_has_a_default_and_none_is_unknown(words: dict[str, object]) -> None:
    kind = PAIR if words in PAIR_WORDS else RELATIONAL
    for missing in words.keys() - {"name"}:
        with pytest.raises(ValidationError, match=missing):
            kind.validate_python({key: words[key] for key in words.keys() - {missing}})
    with pytest.raises(ValidationError, match="margin_euclid"):
        kind.validate_python({**words, "margin_euclid": 0.5})


def test_an_unknown_loss_is_told_the_names_there_are() -> None:
    with pytest.raises(ValidationError, match="'proxy-nca\\+\\+'"):
        PAIR.validate_python({"name": "proxynca"})
    with pytest.raises(ValidationError, match="'rkd-angle'"):
        RELATIONAL.validate_python({"name": "rkd"})


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ({"name": "contrastive", "margin_cosine": 1.4}, "margin_cosine"),
        ({"name": "contrastive-distance", "margin_distance": 2.5}, "margin_distance"),
        ({"name": "arcface", "scale": 30.0, "margin_radians": 17.2}, "margin_radians"),
        ({"name": "proxy-nca++", "temperature": 0.0}, "temperature"),
        ({"name": "multi-similarity", "alpha": -2.0, "beta": 40.0, "base": 0.5}, "alpha"),
    ],
)
def test_a_value_out_of_its_units_range_is_refused(words: dict[str, object], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        PAIR.validate_python(words)


def test_the_specs_need_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import training.losses.specs"
    subprocess.run([sys.executable, "-c", code], check=True)
